"""The table of engines: a new entry is selected by its name and executes a study."""

from pathlib import Path

import pytest

from tisdiss.harness.engines import ENGINES, Engine
from tisdiss.records.scores import mean_by_depth


@pytest.fixture
def away(monkeypatch):
    """An engine on another machine, added in its table alone; what it was started with."""
    started = []

    def launch(plan, runner, start):
        started.append(start)
        return {planned.identity: runner.run(planned) for planned in reversed(plan.runs)}

    monkeypatch.setitem(ENGINES, "away", Engine("a machine far away", launch))
    return started


def words(study: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("run", study, "--profile", "smoke", "--runs-dir", tmp_path / "runs", "--engine", "away")


def test_an_engine_is_an_entry_of_its_table(away, tisdiss, write_study, tmp_path) -> None:
    rows = [
        f"{{id: {row}, set: {{epochs: {n}, average_best: 1}}}}" for row, n in (("a", 1), ("b", 2))
    ]
    study = write_study(rows)
    options = ("--jobs", 7, "--processes", 2, "--no-track", "--engine-file", study)
    code, out, _ = tisdiss(*words(study, tmp_path), *options)
    assert code == 0 and out.splitlines()[-1] == "2 done"
    (start,) = away
    assert (start.jobs, start.processes, start.track, start.settings) == (7, 2, False, study)
    scored = sorted(tmp_path.glob("runs/*/evaluations/*/scores.parquet"))
    assert [sorted(mean_by_depth(path)[0]) for path in scored] == [[1, 2, 3, 4]] * 2
    code, out, _ = tisdiss(*words(study, tmp_path))
    assert code == 0 and out.splitlines()[-1] == "2 skipped"
    assert away[1].track


def test_devices_are_sought_where_the_engine_is(away, tisdiss, write_study, tmp_path) -> None:
    """A GPU that is not here may be there; rounds of seeds are for this machine."""
    far = words(write_study(["{id: a}"]), tmp_path)
    code, _, errors = tisdiss(*far, "--device", "cuda", "--until-decided", "--max-hours", 1)
    assert code == 2 and "waits for each round" in errors and not away
    code, _, errors = tisdiss(*far[:-1], "awy")
    assert code == 2 and "no engine 'awy'; nearest valid name: 'away'" in errors


def test_the_engine_local_has_no_settings(tisdiss, write_study, tmp_path) -> None:
    study = write_study(["{id: a}"])
    words = ("run", study, "--profile", "smoke", "--runs-dir", tmp_path / "runs")
    code, _, errors = tisdiss(*words, "--engine-file", study)
    assert code == 2 and "the engine local has no settings" in errors
