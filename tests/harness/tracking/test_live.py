"""Runs are shown while they go on by another process, which costs them nothing."""

import sys
import time

import pytest

from tisdiss.harness.display import progress_of
from tisdiss.harness.run import run
from tisdiss.harness.tracking import live as live_module
from tisdiss.harness.tracking.live import Live
from tisdiss.records.identity import sha256_of
from tisdiss.records.run_folder import RunFolder, read_journal

DOWN = "MLflow is not up to date (no answer); `tisdiss sync` brings it up to date"
TELLS = f"""
import sys
for line in ({DOWN!r}, {DOWN!r}, "MLflow is up to date again", {DOWN!r}, "note", "note"):
    print(line, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tells(monkeypatch):
    """A process that tells some lines and ends with its input, in the place of `news.py`."""

    def start(self):
        from subprocess import PIPE, Popen

        return Popen([sys.executable, "-c", TELLS], stdin=PIPE, stdout=PIPE, start_new_session=True)

    monkeypatch.setattr(Live, "_start", start)


@pytest.fixture
def failing(monkeypatch):
    """A sync that cannot reach its store; what it was asked for."""
    asked = []

    def fail(runs_dir, uri=None, *, only=None):
        asked.append(list(only))
        raise ConnectionError("http://ann:secret@host: no answer\nat all")

    monkeypatch.setattr("tisdiss.harness.tracking.sync.sync", fail)
    return asked


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_outage_is_told_once_and_again_only_after_its_end(tells, failing, tmp_path):
    said = []
    with Live(tmp_path, said.append, seconds=0.01) as shown:
        shown.ended("ab" * 32, "done")
        shown.ended("cd" * 32, "held")
        wait_for(lambda: "note" in said)
        child = shown.child
    assert said == [DOWN, "MLflow is up to date again", DOWN, "note"]
    assert child.returncode == 0 and failing == [["ab" * 32]]


def test_a_short_run_starts_no_process_and_ends_with_one_sync(failing, tmp_path):
    said = []
    with Live(tmp_path, said.append) as shown:
        shown.ended("ab" * 32, "failed")
    assert shown.child is None and failing == [["ab" * 32]]
    assert said == [
        "MLflow is not up to date (http://ann:***@host: no answer); `tisdiss sync` brings it up "
        "to date"
    ]
    with Live(tmp_path, said.append, track=False) as shown:
        shown.ended("ab" * 32, "done")
    assert len(said) == 1 and len(failing) == 1


def test_a_process_that_hangs_is_stopped(failing, monkeypatch, tmp_path):
    def start(self):
        from subprocess import PIPE, Popen

        line = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
        return Popen(line, stdin=PIPE, stdout=PIPE, start_new_session=True)

    monkeypatch.setattr(Live, "_start", start)
    monkeypatch.setattr(live_module, "LAST_LOOK_SECONDS", 0.1)
    said = []
    with pytest.raises(KeyboardInterrupt), Live(tmp_path, said.append, seconds=0.01) as shown:
        wait_for(lambda: said)
        shown.ended("ab" * 32, "done")
        raise KeyboardInterrupt
    assert shown.child.returncode == -15 and not failing  # nobody waits for a sync


def test_a_run_records_the_use_of_the_machine_and_its_mixtures(
    make_plan, make_runner, monkeypatch, corpora
):
    monkeypatch.setattr("tisdiss.harness.usage.SAMPLE_SECONDS", 0.0)
    planned, runner = make_plan(["{id: a}"]), make_runner()
    run(planned, runner=runner, track=False)
    (made,) = planned.runs
    folder = RunFolder.of(runner.runs_dir, made.identity)
    kinds = [event.kind for event in read_journal(folder.journal)]
    assert kinds == [*["train", "system"] * 3, *["depth", "system"] * 4]
    assert progress_of(folder) == "scored up to N_re 4"
    data, config = folder.data(), made.config.data
    assert data.train.manifest == sha256_of([config.source, config.seed, "train", 8])
    assert data.train.manifest != data.val.manifest and data.val.mixtures == 3
