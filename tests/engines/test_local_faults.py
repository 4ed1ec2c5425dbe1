"""Faults of one machine, with real trainings in real processes: kills, stops, races."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tisdiss.harness.folder import RunFolder, read_journal
from tisdiss.harness.launch import launch, save_queue
from tisdiss.harness.worker import EXIT_CODES, command_line

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("DRILL_KILLS", "5"))


def start_worker(planned, runner, queue, index=0):
    """A worker process as `launch` starts it."""
    run = planned.runs[index]
    line = command_line(queue, run, runner, queue.with_name("code"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        line, env=environment, start_new_session=True, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.drill("R1")
def test_a_trainer_killed_at_random_moments_gives_the_same_result(
    make_plan, make_runner, digest, figure, tmp_path
):
    options = {"epochs": 30}
    runner, planned = make_runner(), make_plan(**options)
    launch(planned, runner=runner, track=False)
    expected = digest(runner.runs_dir, planned.runs[0])
    other = make_runner(runs_dir=tmp_path / "other")
    queue, kills, lost = save_queue(planned, other.runs_dir), 0, []
    folder = RunFolder.of(other.runs_dir, planned.runs[0].identity)
    moments = random.Random(1)
    while kills < KILLS:
        before = len(read_journal(folder.journal))
        worker = start_worker(planned, other, queue)
        while len(read_journal(folder.journal)) < before + 2 and worker.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        assert worker.poll() is None, "the training is too short for this test"
        worker.kill()
        worker.wait()
        kills += 1
        last = [e for e in read_journal(folder.journal) if e["kind"] in ("train", "epoch")][-1]
        states = sorted((folder.path / "checkpoints").glob("state-*.pt"))
        lost.append(last["step"] - int(states[-1].stem.partition("-")[2]) if states else 0)
    worker = start_worker(planned, other, queue)
    assert worker.wait() == 0
    assert digest(other.runs_dir, planned.runs[0]) == expected
    figure(f"{kills} kills, 1 of 1 result equal, at most {max(lost)} logged steps lost")
