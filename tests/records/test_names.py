"""The table of measures: a new entry is computed, stored and accepted in claims like the others."""

import sys
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError

from tisdiss.evaluate import write_table
from tisdiss.metrics import improvements
from tisdiss.records import names
from tisdiss.records.expression import Cell, parse
from tisdiss.records.plan_record import Show
from tisdiss.records.scores import mean_by_depth
from tisdiss.study.words import Row


@pytest.fixture
def peak(monkeypatch):
    """A measure of peaks, added in its list alone."""
    made_up = ModuleType("made_up")
    made_up.peak_ratio = lambda estimates, sources: (
        20 * torch.log10(estimates.abs().amax(-1) / sources.abs().amax(-1))
    )
    monkeypatch.setitem(sys.modules, "made_up", made_up)
    monkeypatch.setitem(names.MEASURES, "peak", names.Measure("Peak", "made_up:peak_ratio"))


def test_a_measure_is_an_entry_of_its_list(peak, tmp_path):
    sources = torch.eye(2, 1000)[None]
    scores = improvements(0.1 * sources, sources, 10 * sources.sum(1))
    assert list(scores) == list(names.score_columns())
    assert scores["peak"].tolist() == [[-20, -20]]
    assert scores["mixture_peak"].tolist() == [[20, 20]]
    assert scores["peaki"].tolist() == [[-40, -40]]
    rows = [
        {"mixture_id": "m", "n_re": 3}
        | {name: score[0, slot].item() for name, score in scores.items()}
        for slot in (0, 1)
    ]
    write_table(tmp_path / "scores.parquet", rows)
    means, mixtures = mean_by_depth(tmp_path / "scores.parquet")
    assert means[3][names.depth_metric("peaki")] == -40 and mixtures == 1


def test_studies_may_name_it(peak):
    assert repr(Cell("a", "peaki", (3,))) in repr(parse("row('a').peaki(n_re=3) > 1"))
    row = Row(id="a", paper={"peaki.re3": 1.0, "peak": 2.0})
    assert row.paper == {"peaki.re3": 1.0, "peak": 2.0}
    assert Show(y="peaki").y == "peaki"
    assert (names.score_label("peaki"), names.score_label("peak")) == ("Peaki", "Peak")


def test_without_it_every_reader_names_the_scores_that_there_are():
    with pytest.raises(ValueError, match="choose from si_snri, sdri, si_snr, sdr"):
        parse("row('a').peaki > 1")
    with pytest.raises(ValidationError, match=r"params_m, si_snri, .* dnsmosi or macs_m; al"):
        Row(id="a", paper={"peaki": 1.0})
    with pytest.raises(ValidationError, match=r"should be 'si_snri', 'sdri', .* or 'dnsmosi'"):
        Show(y="peaki")
