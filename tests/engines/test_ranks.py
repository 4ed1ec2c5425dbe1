"""Two ranks train like one process; a lost rank ends the run soon, and it resumes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tisdiss.harness.launch import _workers, launch
from tisdiss.machine.ranks import ALONE, Ranks
from tisdiss.records.run_folder import RunFolder

CASES = Path(__file__).with_name("ranks_cases.py")


def test_alone_nothing_changes():
    tensor = torch.tensor([1.0, 2.0])
    ALONE.average([tensor])
    assert tensor.tolist() == [1.0, 2.0] and ALONE.first and list(ALONE.indices(3)) == [0, 1, 2]
    assert ALONE.share([1, 2, 3]) == [1, 2, 3] and ALONE.any(True) and not ALONE.any(False)


def test_a_batch_is_shared_in_equal_parts_or_not_at_all():
    assert [Ranks(rank, 2).share([1, 2, 3, 4]) for rank in (0, 1)] == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="batch_size=3 cannot be shared equally by 2 processes"):
        Ranks(0, 2).share([1, 2, 3])


@pytest.mark.slow
@pytest.mark.drill("R14")
def test_two_ranks_give_the_weights_of_one_process(figure, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--max-restarts", "0", str(CASES), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("case ")]
    differences = {name: float(value) for _, name, value in lines}
    rounding = {name: d for name, d in differences.items() if name.startswith("gradients")}
    exact = {name: d for name, d in differences.items() if name not in rounding}
    assert len(rounding) == 2 and max(rounding.values()) <= 2e-5, rounding  # single precision
    assert len(exact) == 4 and max(exact.values()) <= 1e-6, exact
    figure(", ".join(f"{name} {value:.1e}" for name, value in differences.items()))


@pytest.mark.slow
@pytest.mark.drill("R13")
@pytest.mark.parametrize("_round", range(int(os.environ.get("DRILL_ROUNDS", "2"))))
def test_a_lost_rank_ends_the_run_and_the_next_try_resumes(make_plan, make_runner, figure, _round):
    planned, runner = make_plan(epochs=150), make_runner()
    folder = RunFolder.of(runner.runs_dir, planned.runs[0].identity)
    ended = []

    def lose_a_rank(plan_file, run, code_file):
        ended.append(time.monotonic())
        command = _workers(runner, 2)(plan_file, run, code_file)
        return command if len(ended) > 1 else [sys.executable, str(CASES), "lose", *command]

    outcomes = launch(planned, runner=runner, jobs=1, processes=2, track=False, command=lose_a_rank)
    assert list(outcomes.values()) == ["done"], runner.said
    assert "crashed" in " ".join(runner.said)
    lost_at = float((folder.path / "lost").read_text())
    figure(f"ended {ended[1] - lost_at:.1f} s after the kill, then resumed to its end")
