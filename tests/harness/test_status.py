"""What `tisdiss status` shows of a plan's runs."""

import pytest

from tisdiss.harness.folder import Journal, RunFolder
from tisdiss.harness.plan import plan
from tisdiss.harness.run import run
from tisdiss.harness.status import status
from tisdiss.harness.study import load_study


@pytest.fixture
def planned(write_study, corpora, tmp_path):
    study = load_study(write_study(["{id: a}"]))
    return plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)


def test_a_run_before_during_and_after(planned, make_runner):
    runner = make_runner()
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    (before,) = status(planned, runner.runs_dir)
    assert (before.state, before.progress, before.holder) == ("new", "", None)
    with folder.lease(), Journal(folder.journal) as journal:
        folder.write("config.json", {"identity": folder.identity})
        journal.append({"kind": "train", "step": 9, "epoch": 1, "metrics": {"train/loss": 1.234}})
        (during,) = status(planned, runner.runs_dir)
    assert (during.state, during.progress) == ("partial", "epoch 1 of 2, step 9, train/loss 1.23")
    assert during.holder.startswith("process ")
    run(planned, runner=runner, track=False)
    (after,) = status(planned, runner.runs_dir)
    assert (after.state, after.holder) == ("done", None)


def test_a_failed_run_shows_its_reason(planned, make_runner):
    def fail(*args, **options):
        raise OSError("no space left")

    runner = make_runner(train=fail)
    run(planned, runner=runner, track=False)
    (entry,) = status(planned, runner.runs_dir)
    assert (entry.state, entry.progress) == ("failed", "failed: OSError: no space left")
