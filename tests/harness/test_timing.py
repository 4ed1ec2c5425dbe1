"""Models are timed in turn, each shape once, and the factors are written by row."""

import json

import pytest

from tisdiss.harness import timing, training_memory
from tisdiss.harness.estimate import gibibytes
from tisdiss.harness.planner import plan
from tisdiss.harness.timing import Timing, peak_memories, time_plan, time_points
from tisdiss.harness.training_memory import training_memories
from tisdiss.records.runs_layout import timing_file
from tisdiss.study.load import load_study


@pytest.fixture
def planned(write_study, corpora, tmp_path):
    plain = "model.codec.kind: conv2d, model.mask: false"
    rows = [
        "{id: a, model: sep1x2-re1x3-l1}",
        "{id: b, model: sep1x2-re1x3-l1+3}",
        "{id: deep, model: sep1x2-re1x6-l1+6}",
        f"{{id: tfl, model: tf-locoformer-sep2x1-l1, set: {{{plain}}}}}",
    ]
    study = load_study(write_study(rows))
    return plan([study], "smoke", runs_dir=tmp_path, corpora=corpora, root=tmp_path)


@pytest.fixture
def passes(monkeypatch):
    """All passes in order, with a fake clock: a pass takes as many seconds as its depth."""
    made = []

    def pretend(forward, device):
        (model, n_re) = forward.func, forward.keywords["n_re"]
        made.append((model.config, n_re))
        return float(n_re + 1)

    def wide(models, timing):
        return {model: 1000 * model.m_sep * model.n_sep for model in models}

    def trained(runs, device):
        return {run.identity: 10**6 * run.config.model.n_re for run in runs}

    monkeypatch.setattr(timing, "training_memories", trained)
    monkeypatch.setattr(timing, "seconds_of", pretend)
    monkeypatch.setattr(timing, "peak_memories", wide)
    return made


def test_factor_is_processing_time_over_audio_time(planned, passes, tmp_path):
    (path,) = time_plan(planned, tmp_path, Timing(seconds=0.5, rounds=3))
    assert path == timing_file(tmp_path, "demo", "smoke")
    rows = json.loads(path.read_text())["rows"]
    assert rows["a"]["rtf"] == {"1": 4.0, "2": 6.0, "3": 8.0, "4": 10.0}
    assert rows["tfl"]["rtf"] == {"0": 2.0}
    assert (rows["a"]["memory"], rows["tfl"]["memory"]) == (2000, 2000)
    assert (rows["a"]["training_memory"], rows["deep"]["training_memory"]) == (3 * 10**6, 6 * 10**6)
    assert rows["a"]["identity"] == planned.studies[0].rows[0].runs[0].identity


def test_losses_and_trained_depth_do_not_make_another_model_to_time(planned, passes, tmp_path):
    time_plan(planned, tmp_path, Timing(seconds=0.5, rounds=1))
    assert len({config for config, _ in passes}) == 2  # early split, and without
    assert len(passes) == 2 * (4 + 1)  # the first round does not count


def test_rounds_go_over_all_points_in_turn(planned, passes, tmp_path):
    time_plan(planned, tmp_path, Timing(seconds=0.5, rounds=2))
    one = len(passes) // 3
    assert passes[:one] == passes[one : 2 * one] == passes[2 * one :]


def test_a_real_pass_takes_longer_at_a_larger_depth(planned):
    model = planned.runs[0].config.model
    found = time_points([(model, 1), (model, 12)], Timing(seconds=0.5), lambda done, of: None)
    assert 0 < min(found[model, 1]) < min(found[model, 12])


def test_a_row_is_timed_at_the_n_sep_it_is_scored_at(write_study, corpora, tmp_path, passes):
    study = load_study(write_study(["{id: a}", "{id: once, n_sep: 1}"]))
    planned = plan([study], "smoke", runs_dir=tmp_path, corpora=corpora, root=tmp_path)
    (path,) = time_plan(planned, tmp_path, Timing(seconds=0.5, rounds=1))
    assert {config.n_sep for config, _ in passes} == {1, 2}
    rows = json.loads(path.read_text())["rows"]
    assert (rows["a"]["memory"], rows["once"]["memory"]) == (2000, 1000)


def test_memory_is_that_of_a_pass_in_a_fresh_process(planned):
    model = planned.runs[0].config.model
    wide = model.model_copy(update={"block": model.block.model_copy(update={"channels": 128})})
    peaks = peak_memories([model, wide], Timing(seconds=1.0))
    assert 0 < peaks[model] < peaks[wide]


def test_memory_of_training_is_that_of_the_rows_batch_in_a_fresh_process(planned, monkeypatch):
    run = planned.runs[0]
    wide = run.config.model_copy(update={"batch_size": 64})
    other = run.model_copy(update={"identity": "b" * 64, "config": wide})
    peaks = training_memories([run, other], "cpu")
    assert peaks[other.identity] > 4 * peaks[run.identity] > 0
    assert peaks[other.identity] == pytest.approx(gibibytes(other) * 2**30, rel=0.5)
    monkeypatch.setattr(training_memory, "memory_of", lambda device: 2**20)
    assert training_memories([run, other], "cpu") == {}  # it might not fit


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"rounds": 0}])
def test_nothing_to_time_is_refused(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        Timing(**wrong)
