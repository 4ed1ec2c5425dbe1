"""The study `baselines`: rows that are said to be equal are equal, at every size but smoke's."""

from pathlib import Path

import pytest

from tisdiss.cost.planned import macs_per_second, parameters
from tisdiss.study.load import load_study
from tisdiss.study.profiles import load_profiles
from tisdiss.study.resolve import resolve_training

STUDY = Path(__file__).resolve().parents[2] / "studies" / "baselines.yaml"
COSTS = {"equal MACs": macs_per_second, "equal parameters": parameters}
WITHIN = 0.1


@pytest.fixture(scope="module")
def study():
    return load_study(STUDY)


@pytest.mark.parametrize("profile", [name for name in load_profiles() if name != "smoke"])
def test_rows_at_equal_cost_cost_what_tisdiss_does(study, profile):
    models = {
        row.label: resolve_training(study, row, study.at(profile), seed=0).model
        for row in study.rows
    }
    ours = models["TISDiSS-sep1x2-re1x3"]
    for remark, cost in COSTS.items():
        equal = {label: cost(m) / cost(ours) for label, m in models.items() if remark in label}
        assert len(equal) == 4
        assert equal == {label: pytest.approx(1, abs=WITHIN) for label in equal}


def test_only_widths_differ_from_the_published_structure(study):
    for profile in ("cpu", "paper"):
        view = study.at(profile)
        for row in study.rows:
            if "equal" in (row.label or ""):
                published = study.row(row.id.partition("-")[0])
                pair = (resolve_training(study, r, view, seed=0) for r in (row, published))
                one, other = (config.model_dump() for config in pair)
                for config in (one, other):
                    for group, setting in (
                        *(("block", s) for s in ("channels", "attention_dim", "ffn_hidden")),
                        ("grid", "hidden"),
                        *(("sepreformer", s) for s in ("channels", "encoder_channels")),
                    ):
                        config["model"].get(group, {}).pop(setting, None)
                assert one == other
