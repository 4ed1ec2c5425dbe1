"""Garbage collection deletes files that nothing reads again, and never a result."""

import json
import os
import shutil
import time

import pytest

from tisdiss.harness.gc import STALE_SECONDS, Collected, gc
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.runs_layout import FOLDERS, code_file, queue_file

DONE, OPEN, STRANGER = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def runs_dir(tmp_path):
    """A finished run, one to be resumed, and one that no plan names."""
    for identity, status in ((DONE, "done"), (OPEN, "running"), (STRANGER, "running")):
        folder = RunFolder.of(tmp_path, identity)
        folder.write("config.json", {"identity": identity, "parent": None})
        folder.write("result.json", {"status": status})
        (folder.path / "checkpoints").mkdir()
        (folder.path / "checkpoints/state-00000001.pt").write_bytes(b"x" * 100)
        if status == "done":
            folder.model_file.write_bytes(b"weights")
    runs = [{"seed": 0, "identity": identity, "evaluation": "e" * 64} for identity in (DONE, OPEN)]
    rows = [{"id": "a", "label": "A", "runs": runs}]
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans/demo.smoke.json").write_text(json.dumps({"rows": rows}))
    return tmp_path


def reasons(found):
    return {rubbish.path.parent.name[0]: rubbish.reason for rubbish in found}


def test_states_of_finished_and_of_unplanned_runs_may_go(runs_dir):
    found = gc(runs_dir, dry_run=True).rubbish
    assert reasons(found) == {
        "a": "training states of a finished run",
        "c": "training states of a run that no plan names",
    }
    assert [rubbish.bytes for rubbish in found] == [100, 100]


def test_a_dry_run_deletes_nothing_and_the_next_one_does(runs_dir):
    before = sorted(runs_dir.rglob("*"))
    gc(runs_dir, dry_run=True)
    assert sorted(runs_dir.rglob("*")) == before
    assert len(gc(runs_dir).rubbish) == 2 and gc(runs_dir) == Collected([], [])
    kept = RunFolder.of(runs_dir, OPEN).path / "checkpoints/state-00000001.pt"
    assert kept.is_file() and RunFolder.of(runs_dir, DONE).model_file.is_file()


def test_a_parent_of_a_planned_run_is_planned(runs_dir):
    RunFolder.of(runs_dir, OPEN).write("config.json", {"identity": OPEN, "parent": STRANGER})
    assert set(reasons(gc(runs_dir, dry_run=True).rubbish)) == {"a"}


def test_a_run_that_somebody_works_on_is_left_alone(runs_dir):
    with RunFolder.of(runs_dir, DONE).lease():
        assert set(reasons(gc(runs_dir).rubbish)) == {"c"}


def aged(path, seconds):
    """A file that was last changed so long ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("half")
    os.utime(path, (time.time() - seconds,) * 2)
    return path


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_what_killed_writers_left_goes_once_it_is_old(runs_dir, folder):
    old = aged(runs_dir / folder / ".a.json.1234-x7k2m0a9.tmp", 2 * STALE_SECONDS)
    young = aged(runs_dir / folder / ".b.json.1234-x7k2m0a9.tmp", 0)
    assert old in [rubbish.path for rubbish in gc(runs_dir).rubbish]
    assert not old.exists() and young.exists()


def test_what_a_held_run_writes_stays(runs_dir):
    folder = RunFolder.of(runs_dir, OPEN)
    writing = aged(folder.path / ".events.1234-x7k2m0a9.tmp", 2 * STALE_SECONDS)
    with folder.lease():
        gc(runs_dir)
        assert writing.exists()
    gc(runs_dir)
    assert not writing.exists()


GONE = 999999999
"""No process has this number."""


@pytest.mark.parametrize(
    ("host", "pid", "days", "stays"),
    [
        ("here", os.getpid(), 90, True),
        ("here", GONE, 0, False),
        ("my-host.org", os.getpid(), 29, True),
        ("my-host.org", GONE, 29, True),  # another machine has other processes
        ("my-host.org", os.getpid(), 31, False),
    ],
)
def test_a_queue_goes_when_its_command_is_gone(runs_dir, monkeypatch, host, pid, days, stays):
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: host)
        there.setattr("os.getpid", lambda: pid)
        queue = queue_file(runs_dir, "0123456789")
    code = code_file(queue, "1234567890")  # no digits of a run are taken for a process
    for path in (queue, code):
        aged(path, days * 86400)
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    gc(runs_dir)
    assert (queue.exists(), code.exists()) == (stays, stays)


@pytest.mark.parametrize(("days", "stays"), [(29, True), (31, False)])
def test_a_queue_of_an_earlier_version_names_no_machine(runs_dir, days, stays):
    names = (f"queue-0123456789-{GONE}", f"queue-0123456789-{GONE}-{os.getpid():010}")
    paths = [aged(runs_dir / "plans" / name, days * 86400) for name in names]
    gc(runs_dir)
    assert [path.exists() for path in paths] == [stays, stays]


def test_files_of_a_user_stay_wherever_they_lie(runs_dir):
    """Files of others: a model of another project, and temporary files of other programs."""
    other = runs_dir / "llama-base"
    (other / "checkpoints").mkdir(parents=True)
    (other / "config.json").write_text(json.dumps({"identity": "of something else"}))
    theirs = [other / "checkpoints/model.pt", runs_dir / "plans/.notes.tmp", runs_dir / ".a.tmp"]
    theirs += [runs_dir / "mine/.draft.abcdefgh.tmp", runs_dir / "plans/queue-of-ideas"]
    for path in theirs:
        aged(path, 90 * 86400)
    assert set(reasons(gc(runs_dir).rubbish)) == {"a", "c"}
    assert all(path.is_file() for path in theirs)


def test_a_submission_goes_when_all_its_jobs_have_ended(runs_dir):
    submissions = {"ended": "04", "open": "0", "requeued": "07"}
    for name, codes in submissions.items():
        folder = runs_dir / "slurm" / name
        folder.mkdir(parents=True)
        (folder / "runs.json").write_text(json.dumps([DONE, OPEN]))
        for k, code in enumerate(codes):
            (folder / f"{k}.code").write_text(code)
    assert [r.path.name for r in gc(runs_dir).rubbish if r.path.parent.name == "slurm"] == ["ended"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("plans/demo.smoke.json", "bc"),  # which states are still needed cannot be known
        ("bbbbbbbbbb/config.json", "bc"),  # nor whose parent a run is
        ("cccccccccc/config.json", "bc"),
        ("aaaaaaaaaa/result.json", "ab"),
        ("slurm/s/runs.json", "b"),
    ],
)
def test_what_a_damaged_file_tells_of_stays_and_the_rest_goes(runs_dir, name, kept):
    (runs_dir / "slurm/s").mkdir(parents=True)
    (runs_dir / name).write_text('{"rows": [')
    found = gc(runs_dir)
    assert [f"{name}: not JSON" in problem for problem in found.problems] == [True]
    assert "".join(path.parts[-3][0] for path in states(runs_dir)) == kept


def states(runs_dir):
    return sorted(runs_dir.glob("*/checkpoints/*.pt"))


@pytest.mark.parametrize(("told", "goes"), [("e" * 64, True), ("f" * 64, False), (None, False)])
def test_a_part_of_an_evaluation_goes_when_the_evaluation_is_complete(runs_dir, told, goes):
    folder = RunFolder.of(runs_dir, OPEN)
    part = folder.path / "evaluations" / ".eeeeeeeeee.partial"
    part.mkdir(parents=True)
    (part / "scores.jsonl").write_text("{}")
    if told:
        folder.write("evaluations/eeeeeeeeee/evaluation.json", {"identity": told})
    gc(runs_dir)
    assert part.exists() != goes and folder.evaluation("e" * 64).exists() == bool(told)


def test_what_may_not_be_deleted_is_told_and_the_rest_goes(runs_dir, monkeypatch):
    def refuse(path):
        if path.parent.name.startswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        rmtree(path)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", refuse)
    found = gc(runs_dir)
    assert set(reasons(found.rubbish)) == {"c"}
    assert found.problems[0].endswith(
        "checkpoints: cannot be deleted (Permission denied); check permissions"
    )
