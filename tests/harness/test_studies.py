"""The studies of the paper: all there, what they share, and what they claim."""

import subprocess
import sys
from pathlib import Path

import pytest

from tisdiss.architectures import ARCHITECTURES
from tisdiss.harness.plan import Plan
from tisdiss.harness.planner import plan
from tisdiss.study.load import find_studies
from tisdiss.study.profiles import load_profiles
from tisdiss.study.search_file import find_search

STUDIES = (
    *("table1", "table2", "table3"),
    *(f"fig2{panel}" for panel in "abcdefgh"),
)
FOLDER = Path(__file__).resolve().parents[2] / "studies"


@pytest.fixture(scope="module")
def studies():
    return {study.study: study for study in find_studies(STUDIES, FOLDER)}


@pytest.fixture
def make_plan(studies, corpora, tmp_path):
    def make(profile, names=STUDIES):
        chosen = [studies[name] for name in names]
        return plan(chosen, profile, runs_dir=tmp_path, corpora=corpora, root=FOLDER.parent)

    return make


def of_spectra(runs):
    """The runs whose models have an STFT and a codec, which whole models do not."""
    return [run for run in runs if run.config.model.architecture in ARCHITECTURES]


def shown_in(planned):
    return {f"{m.study}/{m.row}" for m in planned.members}


@pytest.mark.parametrize(
    ("profile", "runs", "shared"),  # at smoke, all rows of Table 1 have dynamic mixing
    [("smoke", 48, 10), ("paper", 50, 9)],
)
def test_the_whole_paper_is_few_runs_of_66_rows(make_plan, profile, runs, shared):
    planned = make_plan(profile)
    assert sum(len(study.rows) for study in planned.studies) == 66
    assert len(planned.runs) == runs
    assert sum(len(shown_in(run)) > 1 for run in planned.runs) == shared


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_the_papers_main_model_is_trained_once_for_seven_studies(make_plan, profile):
    (base,) = [run for run in make_plan(profile).runs if "fig2a/l1+3" in shown_in(run)]
    assert shown_in(base) == {
        "fig2a/l1+3",
        "fig2b/sep1x2",
        "fig2b/once",
        "fig2b/thrice",
        "fig2c/re1x3",
        "fig2e/base",
        "fig2h/base",
        "table1/re1x3",
        "table3/shared-l1+3",
    }


def test_fine_tunes_come_after_the_runs_they_start_from(make_plan):
    runs = make_plan("smoke").runs
    places = {run.identity: place for place, run in enumerate(runs)}
    children = [run for run in runs if run.parent]
    assert [run.name for run in children] == [
        "sep1x2-re1x3-l1+3",
        "sep1x2-re1x6-l1+6",
        *("sep1x2-re2x2-l1+1x2", "sep1x2-re2x4-l1+1x4") * 2,
    ]
    assert all(places[run.parent] < places[run.identity] for run in children)


def test_each_study_plans_alone_at_each_profile(make_plan):
    for profile in ("smoke", "cpu", "lab", "paper"):
        for name in STUDIES:
            assert make_plan(profile, [name]).runs


EVERY = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("profile", load_profiles())
@pytest.mark.parametrize("name", EVERY)
def test_workers_read_back_what_was_planned(corpora, tmp_path, name, profile):
    if name.startswith("search_"):
        spec = find_search(name, FOLDER)
        study = spec.study(dict(enumerate(spec.first)))
    else:
        (study,) = find_studies([name], FOLDER)
    planned = plan([study], profile, runs_dir=tmp_path, corpora=corpora, root=FOLDER.parent)
    assert planned.runs
    read = Plan.model_validate_json(planned.model_dump_json())
    assert read == planned and read.model_dump_json() == planned.model_dump_json()


def test_a_plan_without_its_corpora_is_read_back_too(tmp_path):
    studies = find_studies([name for name in EVERY if not name.startswith("search_")], FOLDER)
    planned = plan(studies, "paper", runs_dir=tmp_path, root=FOLDER.parent)
    assert planned.unknown and Plan.model_validate_json(planned.model_dump_json()) == planned


def test_parameters_at_paper_size_are_those_of_the_paper(make_plan):
    for study in make_plan("paper").studies:
        for row in study.rows:
            told = (row.paper or {}).get("params_m")
            # Two cells of Table 3 are not rounded but cut: 7.355 and 4.861 M.
            if told is not None:
                assert abs(row.params / 1e6 - told) < 0.062, (study.study, row.id)


def test_our_rows_have_the_published_sizes(make_plan):
    (table,) = make_plan("paper", ["table2"]).studies
    params = {row.label: row.params for row in table.rows}
    assert params["TF-GridNet (ours)"] == 14_521_042
    assert params["TF-Locoformer-S (ours)"] == 5_125_220
    assert params["TF-Locoformer-M (ours)"] == 14_975_620


def test_marks_are_what_the_models_have(studies, make_plan):
    (table,) = make_plan("paper", ["table3"]).studies
    models = {
        member.row: run.config.model for run in make_plan("paper").runs for member in run.members
    }
    for row in table.rows:
        model = models[row.id]
        shared = model.n_sep > 1 or model.n_re > 1
        assert row.marks.model_dump() == {
            "es": bool(model.m_re),
            "sp": shared,
            "ml": len(model.decoded()) > 1,
        }, row.id


@pytest.mark.parametrize("profile", load_profiles())
@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_rows_of_a_table_on_one_corpus_have_one_codec_and_mask(make_plan, name, profile):
    codecs = {
        (run.config.data, run.config.model.codec, run.config.model.mask)
        for run in of_spectra(make_plan(profile, [name]).runs)
    }
    assert len(codecs) == len({data for data, _, _ in codecs})


@pytest.mark.parametrize("profile", ["smoke", "cpu", "lab", "paper"])
def test_baselines_are_compared_on_one_codec_at_every_profile(corpora, tmp_path, profile):
    studies = find_studies(["baselines", "fig2a", "table3"], FOLDER)
    planned = plan(studies, profile, runs_dir=tmp_path, corpora=corpora, root=FOLDER.parent)
    runs = [run for run in planned.runs if any("baselines" in shown for shown in shown_in(run))]
    assert {run.config.model.architecture for run in runs} == {
        "tisdiss",
        "tf-locoformer",
        "fla-tf-locoformer",
        "tf-gridnet",
        "sepreformer",
    }
    of_codecs = of_spectra(runs)
    assert len({(run.config.model.codec, run.config.model.mask) for run in of_codecs}) == 1
    shared = {row for run in runs for row in shown_in(run)}
    assert {"table3/tfl-6x1", "fig2a/l1+3"} <= shared


def test_fig2h_keeps_the_papers_grid_at_every_profile(make_plan):
    for profile in ("cpu", "paper"):
        for run in make_plan(profile, ["fig2h"]).runs:
            model = run.config.model
            assert (model.codec.n_fft, model.codec.hop, model.mask) == (128, 64, False)


def test_rows_of_table_2_hear_their_own_corpus(make_plan):
    runs = of_spectra(make_plan("paper", ["table2"]).runs)
    heard = {(run.config.data.source, run.config.model.codec.n_fft) for run in runs}
    assert heard == {("whamr", 256), ("libri2mix", 128)}


def test_fig2b_scores_one_model_at_three_n_sep(make_plan):
    (panel,) = make_plan("paper", ["fig2b"]).studies
    assert {row.id: (row.n_sep_train, row.n_sep) for row in panel.rows} == {
        "sep1x1": (1, None),
        "sep1x2": (2, None),
        "once": (2, 1),
        "thrice": (2, 3),
    }
    assert len({row.runs[0].identity for row in panel.rows}) == 2


def test_inference_depths_of_table_1(make_plan):
    (table,) = make_plan("paper", ["table1"]).studies
    depths = {row.id: row.at for row in table.rows}
    assert depths["re1x3"] == (3, 5) and depths["re1x6"] == (3, 6, 8)
    assert depths["tfl-m-ours"] == (0,)


def test_points_of_equal_cost_in_fig2d(make_plan):
    (panel,) = make_plan("paper", ["fig2d"]).studies
    one, two = panel.rows
    assert [one.macs[2 * n] for n in range(1, 6)] == [two.macs[n] for n in range(1, 6)]


def test_published_rows_say_where_they_are_from(studies):
    quoted = [row for study in studies.values() for row in study.rows if row.published]
    assert len(quoted) == 14
    assert all(row.source and "params_m" in row.published for row in quoted)


def test_every_study_claims_something_and_every_section_is_covered(studies):
    claims = {name: [claim.source for claim in study.claims] for name, study in studies.items()}
    assert all(claims.values())
    sources = " ".join(source for said in claims.values() for source in said)
    assert all(f"Sec. 3.{section}" in sources for section in (2, 3, 4, 5))


def test_every_claim_has_a_sentence(studies):
    unsaid = [
        f"{name}/{claim.id}"
        for name, study in studies.items()
        for claim in study.claims
        if not (claim.says and claim.says.endswith(".") and "row(" not in claim.says)
    ]
    assert unsaid == []


def test_claims_compare_rows_of_one_corpus(studies):
    from tisdiss.records.expression import parse, rows_of

    for study in studies.values():
        for claim in study.claims:
            rows = [study.row(row) for row in rows_of(parse(claim.expr))]
            assert len({study.corpus_of(row) for row in rows}) == 1, claim.id


def test_a_plan_needs_neither_torch_nor_mlflow_nor_pandas(tmp_path):
    words = ["plan", "table2", "fig2f", "--profile", "smoke", "--runs-dir", str(tmp_path)]
    script = (
        "import sys; from tisdiss import cli\n"
        f"sys.argv = ['tisdiss', *{words!r}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('heavy:', {'torch', 'mlflow', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=FOLDER.parent
    )
    assert done.stdout.splitlines()[-1] == "heavy: set()", done.stdout + done.stderr
