"""The MLflow view of a run: each value once, the latest evaluation as a curve and as cells."""

import math

from tisdiss.harness.tracking.view import metrics_of
from tisdiss.records.run_record import Event


def logged(step, value, ts_ms=5, kind="train", evaluation=None):
    metric = "depth/si_snri" if kind == "depth" else "train/loss"
    return Event(
        ts_ms=ts_ms, kind=kind, step=step, epoch=0, metrics={metric: value}, evaluation=evaluation
    )


def test_the_first_of_two_equal_steps_stays_and_infinity_becomes_missing():
    metrics, not_finite = metrics_of([logged(1, 2.0), logged(1, 3.0, 9), logged(2, math.inf)], None)
    assert [(m.step, m.timestamp) for m in metrics] == [(1, 5), (2, 5)]
    assert metrics[0].value == 2.0 and math.isnan(metrics[1].value) and not_finite == 1


def test_the_latest_evaluation_is_the_curve_and_the_cells_and_others_are_named():
    old, new = "1" * 64, "2" * 64
    events = [logged(3, 7.0, kind="depth", evaluation=e) for e in (old, new)]
    metrics, _ = metrics_of(events, new)
    assert {(m.key, m.step) for m in metrics} == {
        ("depth.1111111111/si_snri", 3),
        ("depth/si_snri", 3),
        ("test/si_snri.re3", 0),
    }


def test_events_without_metrics_are_passed_over():
    warning = Event(ts_ms=1, kind="warning", step=1, epoch=0, text="x")
    assert metrics_of([warning], None) == ([], 0)


def test_the_use_of_the_machine_is_numbered_also_where_a_training_resumes():
    def used(step, value):
        metrics = {"system/cpu_utilization_percentage": value}
        return Event(ts_ms=5, kind="system", step=step, epoch=0, metrics=metrics)

    events = [logged(1, 2.0), used(1, 50.0), used(1, 60.0), logged(2, 1.0), used(2, 70.0)]
    resumed = [*events, logged(2, 9.0), used(2, 80.0)]  # from a checkpoint of before
    for journal in (events, resumed):
        metrics, _ = metrics_of(journal, None)
        samples = [(m.step, m.value) for m in metrics if m.key.startswith("system/")]
        assert samples == list(enumerate([50.0, 60.0, 70.0, 80.0]))[: len(samples)]
        assert [m.value for m in metrics if m.key == "train/loss"] == [2.0, 1.0]
    assert len(samples) == 4
