"""PESQ, STOI, ESTOI and DNSMOS: the values of their libraries, on request."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from tisdiss import quality
from tisdiss.config import EvalConfig
from tisdiss.config.training import Quality
from tisdiss.evaluate import score, write_table
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.machine.extras import need_modules
from tisdiss.metrics import improvements
from tisdiss.model import TISDiSS
from tisdiss.records import names
from tisdiss.records.identity import canonical, evaluation_identity
from tisdiss.records.scores import mean_by_depth
from tisdiss.study.document import DocumentError
from tisdiss.study.load import load_study

pesq = pytest.importorskip("pesq", reason="the package pesq needs a C compiler")
pystoi = pytest.importorskip("pystoi")
pytest.importorskip("speechmos")


def speech(seconds: float = 1.5, rate: int = 8000, seed: int = 0) -> Tensor:
    """Voiced syllables: a harmonic tone that comes and goes."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * (110 + 40 * seed) * time
    tone = sum(np.sin(k * pitch + rng.uniform(0, 6)) / k for k in range(1, 9))
    signal = 0.1 * tone * (0.55 + 0.45 * np.sin(2 * np.pi * (2.5 + seed) * time))
    return torch.from_numpy(signal + 1e-3 * rng.standard_normal(len(time))).float()


@pytest.fixture(scope="module")
def signals() -> tuple[Tensor, Tensor, Tensor]:
    """Estimates (1, 2, samples), sources and mixture; the estimates are in the other order."""
    sources = torch.stack([speech(seed=0), speech(seed=1)])[None]
    mixture = sources.sum(1)
    return sources.flip(1) + 0.2 * mixture, sources, mixture


def test_values_are_those_of_the_libraries(signals) -> None:
    estimates, sources, _ = signals
    for rate, mode in ((8000, "nb"), (16000, "wb")):
        ours = quality.pesq(estimates, sources, rate)
        assert ours.shape == (1, 2) and ours.dtype == torch.float64
        for j in range(2):
            pair = sources[0, j].double().numpy(), estimates[0, j].double().numpy()
            assert ours[0, j].item() == pytest.approx(pesq.pesq(rate, *pair, mode), abs=1e-6)
    for ours, extended in ((quality.stoi, False), (quality.estoi, True)):
        pair = sources[0, 1].double().numpy(), estimates[0, 1].double().numpy()
        expected = pystoi.stoi(*pair, 8000, extended=extended)
        assert ours(estimates, sources, 8000)[0, 1].item() == pytest.approx(expected, abs=1e-9)


def test_dnsmos_is_that_of_its_library(signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """librosa serves another network of the library, whose value is not taken."""
    mel = SimpleNamespace(melspectrogram=lambda **options: np.ones((120, 900)))
    fake = SimpleNamespace(feature=mel, power_to_db=lambda values, ref: values)
    monkeypatch.setitem(sys.modules, "librosa", fake)
    from speechmos import dnsmos

    rate = quality.DNSMOS_RATE
    estimates = torch.stack([speech(1.5, rate, 0), speech(11.0, rate, 1)[: 3 * rate // 2]])
    long = speech(11.0, rate, 1)[None]
    for signals in (estimates, long):
        level = signals * quality.DNSMOS_RMS / signals.square().mean(-1, keepdim=True).sqrt()
        expected = [dnsmos.run(one.numpy(), rate)["ovrl_mos"] for one in level]
        ours = quality.dnsmos(signals, signals, rate)
        assert ours.tolist() == pytest.approx(expected, abs=1e-4) and min(expected) > 1
        torch.testing.assert_close(quality.dnsmos(0.1 * signals, signals, rate), ours)
    noisy = estimates + 0.1 * torch.randn(estimates.shape, generator=torch.Generator())
    worse = quality.dnsmos(noisy, estimates, rate)
    assert (worse < quality.dnsmos(estimates, estimates, rate)).all()


def test_a_perfect_estimate_has_the_highest_value() -> None:
    source = speech()[None]
    assert quality.pesq(source, source, 8000).item() == pytest.approx(4.5486, abs=1e-3)
    assert quality.stoi(source, source, 8000).item() == pytest.approx(1, abs=1e-6)
    assert quality.estoi(source, source, 8000).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("measure", [quality.pesq, quality.stoi, quality.estoi, quality.dnsmos])
def test_what_is_undefined_is_nan(measure) -> None:
    source = speech()
    short = source[:1500]  # 0.19 s
    assert measure(source, torch.zeros_like(source), 8000).isnan()
    assert measure(short, short, 8000).isnan()
    assert measure(source * math.nan, source, 8000).isnan()


def test_scores_come_on_request_after_the_others(signals) -> None:
    estimates, sources, mixture = signals
    plain = improvements(estimates, sources, mixture)
    assert list(plain) == list(names.score_columns())
    asked = improvements(estimates, sources, mixture, quality=["pesq", "stoi"], rate=8000)
    assert list(asked) == list(names.score_columns(["pesq", "stoi"]))
    assert all(torch.equal(plain[name], asked[name]) for name in plain)
    ordered = estimates.flip(1)  # as SI-SNR says
    torch.testing.assert_close(asked["pesq"], quality.pesq(ordered, sources, 8000))
    of_mixture = quality.stoi(mixture[:, None].expand_as(sources), sources, 8000)
    torch.testing.assert_close(asked["mixture_stoi"], of_mixture)
    torch.testing.assert_close(asked["stoii"], asked["stoi"] - of_mixture)
    assert (asked["stoii"] > 0).all() and (asked["pesqi"] > 0).all()


def test_identities_do_not_change_unless_it_is_asked_for() -> None:
    plain = EvalConfig(n_re=(1, 2))
    assert "quality" not in canonical(plain)
    asked = [EvalConfig(n_re=(1, 2), quality=q) for q in (("stoi", "pesq"), ("pesq", "stoi"))]
    of = [evaluation_identity("a", config, "b") for config in (plain, *asked)]
    assert of[0] != of[1] == of[2]
    assert get_args(Quality) == tuple(names.QUALITY)


def test_pesq_is_refused_at_other_rates() -> None:
    EvalConfig(quality=("pesq",)).check_quality(16000)
    EvalConfig(quality=("stoi",)).check_quality(11025)
    with pytest.raises(ValueError, match=r"PESQ is defined at 8000 and 16000 Hz, and .* 11025 Hz"):
        EvalConfig(quality=("pesq",)).check_quality(11025)


def test_labels_say_what_is_absolute() -> None:
    assert names.score_heading("pesq") == "PESQ (absolute) [MOS]"
    assert names.score_heading("pesqi") == "PESQ (improvement) [MOS]"
    assert names.score_heading("estoi") == "ESTOI (absolute)"
    assert names.score_heading("si_snri") == "SI-SNRi [dB]"


def test_an_evaluation_has_the_columns(tiny, corpus, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TISDiSS.from_config(tiny("sep1x1-re1x1-l1")).eval()
    rows = score(model, corpus.test[0], EvalConfig(n_re=(1, 2), quality=("stoi",)))
    assert tuple(rows[0]) == names.table_columns(["stoi"])
    write_table(tmp_path / "scores.parquet", [row | {"stoi": 0.5} for row in rows])
    means, _ = mean_by_depth(tmp_path / "scores.parquet")
    assert means[2]["depth/stoi"] == 0.5 and "depth/pesq" not in means[2]


CLAIM = "claims:\n  - {id: c, expr: \"row('a').pesq > row('b').pesq\", source: ours}\n"


def test_a_study_asks_for_it_before_it_speaks_of_it(write_study) -> None:
    rows = ["{id: a}", "{id: b, set: {optim.lr: 1e-4}}"]
    path = write_study(rows, more=CLAIM)
    with pytest.raises(DocumentError, match=r"pesq is not computed: add `quality: \[pesq\]` to"):
        load_study(path)
    text = path.read_text().replace("n_re: 1..4", "n_re: 1..4, quality: [pesq]")
    path.write_text(text.replace("figure: depth_curve", "figure: depth_curve, y: pesq"))
    assert load_study(path).show.y == "pesq"
    path.write_text(text.replace("figure: depth_curve", "figure: depth_curve, y: stoii"))
    with pytest.raises(DocumentError, match=r"stoii is not computed: add `quality: \[stoi\]`"):
        load_study(path)


def test_a_plan_knows_the_packages_that_it_needs(
    write_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_study(["{id: a}"])
    asked = path.read_text().replace("n_re: 1..4", "n_re: 1..4, quality: [estoi, pesq, stoi]")
    for text, packages in ((path.read_text(), ()), (asked, ("pystoi", "pesq"))):
        path.write_text(text)
        corpora = Corpora(cache=tmp_path)
        made = plan([load_study(path)], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)
        assert made.packages == packages
    monkeypatch.setattr("tisdiss.machine.extras.is_installed", lambda module: module != "pesq")
    with pytest.raises(ValueError, match=r"this needs pesq: pip install 'tisdiss\[quality\]'"):
        need_modules(made.packages)
