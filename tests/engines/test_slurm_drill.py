"""Runs on a real Slurm of two nodes: preemption, lost nodes, lost controller, killed workers."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import slurm_cluster

from tisdiss.cli import study_commands
from tisdiss.harness.launch import launch
from tisdiss.harness.slurm import launch_on_slurm
from tisdiss.harness.slurm_jobs import SlurmSettings
from tisdiss.machine.lease import holder
from tisdiss.records.run_folder import RunFolder, read_journal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=str(slurm_cluster.missing())),
]
SETTINGS = SlurmSettings(partition="main", minutes=600, memory_gb=1, cpus=1)


@pytest.fixture(scope="module")
def cluster():
    at = Path(tempfile.mkdtemp(prefix="tisdiss-drill-"))
    at.chmod(0o755)  # the munge daemon is another user
    cluster = slurm_cluster.SlurmCluster(at)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "OMP_NUM_THREADS")}
    os.environ.update(SLURM_CONF=str(cluster.config), OMP_NUM_THREADS="1")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(at, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Campaign(threading.Thread):
    """`tisdiss run --engine slurm` beside the test."""

    def __init__(self, planned, runner, **options):
        super().__init__(daemon=True)
        self.planned, self.runner, self.options, self.outcomes = planned, runner, options, {}
        self.start()

    def run(self):
        options = {"settings": SETTINGS, "track": False, "poll_seconds": 0.3, **self.options}
        self.outcomes = launch_on_slurm(self.planned, runner=self.runner, **options)

    def finish(self, seconds=900):
        self.join(seconds)
        assert not self.is_alive(), self.runner.said
        return list(self.outcomes.values())


@pytest.fixture
def campaign(cluster, make_plan, make_runner):
    def make(rows=("{id: a}",), settings=None, runs_dir=None, **options):
        options_of_runner = {"runs_dir": runs_dir} if runs_dir else {}
        runner = make_runner(lease_seconds=12, **options_of_runner)
        planned = make_plan(rows, **(settings or {}))
        return Campaign(planned, runner, **options)

    yield make
    cluster.ask("scancel", "-u", "root")


def steps_of(campaign, k=0):
    folder = RunFolder.of(campaign.runner.runs_dir, campaign.planned.runs[k].identity)
    return [e.step for e in read_journal(folder.journal) if e.kind == "epoch"]


def here(make_runner, planned, digest, tmp_path, k=0):
    """The same run on this machine, in this process."""
    runner = make_runner(runs_dir=tmp_path / "here")
    launch(planned, runner=runner, track=False)
    return digest(runner.runs_dir, planned.runs[k])


@pytest.mark.drill("R18")
def test_a_study_gives_the_same_on_slurm_and_here(campaign, make_runner, digest, figure, tmp_path):
    rows = (
        "{id: a}",
        "{id: b, init_from: a, model: sep1x1-re1x2-l1+2}",
        "{id: c, set: {optim.lr: 2.0e-3}}",
    )
    began = time.monotonic()
    work = campaign(rows)
    assert work.finish() == ["done"] * 3, work.runner.said
    seconds = time.monotonic() - began
    runner = make_runner(runs_dir=tmp_path / "here")
    launch(work.planned, runner=runner, track=False)
    for planned in work.planned.runs:
        assert digest(work.runner.runs_dir, planned) == digest(runner.runs_dir, planned)
    figure(f"3 runs (one a fine-tune) on 2 nodes in {seconds:.0f} s, results byte-equal to local")


@pytest.mark.drill("R4")
def test_a_preempted_run_saves_and_is_requeued(
    cluster, campaign, make_runner, digest, figure, tmp_path
):
    work = campaign(settings={"epochs": 200})
    cluster.wait(lambda: len(steps_of(work)) > 3, "the training works")
    urgent = cluster.ask(
        *("sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "--wrap", "sleep 4"),
        *("-o", "/dev/null"),
    ).strip()
    began = time.monotonic()
    cluster.wait(lambda: [urgent, "RUNNING"] in cluster.jobs("%i|%T"), "the urgent job runs")
    preempted_in = time.monotonic() - began
    at = steps_of(work)[-1]
    cluster.wait(lambda: steps_of(work)[-1] > at, "the training goes on")
    back_in = time.monotonic() - began
    assert work.finish() == ["done"]
    steps = steps_of(work)
    assert len(steps) == len(set(steps)), "a step was trained twice"
    expected = here(make_runner, work.planned, digest, tmp_path)
    assert digest(work.runner.runs_dir, work.planned.runs[0]) == expected
    figure(f"gone after {preempted_in:.1f} s, training again after {back_in:.0f} s, 0 steps lost")


@pytest.mark.drill("R7")
def test_a_killed_worker_is_submitted_again(cluster, campaign, figure):
    work = campaign(settings={"epochs": 120}, tries=2)
    folder = RunFolder.of(work.runner.runs_dir, work.planned.runs[0].identity)
    seconds = []
    for _ in range(2):
        count = len(steps_of(work))
        cluster.wait(lambda c=count: len(steps_of(work)) > c, "the training works")
        said = len(work.runner.said)
        os.kill(holder(folder.lock_file)["pid"], signal.SIGKILL)
        seconds.append(cluster.wait(lambda s=said: len(work.runner.said) > s, "it is noticed"))
    assert work.finish() == ["failed"]
    assert folder.result().status == "failed"
    assert "without a result, 2 times" in folder.result().reason
    figure(f"noticed after {max(seconds):.1f} s at most; 2 tries, then failed with its reason")


@pytest.mark.drill("R5")
def test_a_run_on_a_lost_node_goes_on_on_the_other(cluster, campaign, figure):
    work = campaign(settings={"epochs": 120})
    cluster.wait(lambda: len(steps_of(work)) > 3, "the training works")
    (node,) = [node for node, state in cluster.jobs("%N|%T") if state == "RUNNING"]
    cluster.kill_node(node)
    at, began = steps_of(work)[-1], time.monotonic()
    try:
        cluster.wait(lambda: steps_of(work)[-1] > at, "the training goes on")
        figure(f"goes on on the other node after {time.monotonic() - began:.0f} s (timeout 10 s)")
        assert work.finish() == ["done"]
    finally:
        cluster.start_node(node)
        cluster.wait(lambda: cluster.idle() == 2, "both nodes are back")


@pytest.mark.drill("R6")
def test_a_controller_killed_after_submission_loses_and_doubles_nothing(
    cluster, campaign, make_runner, digest, figure, tmp_path
):
    rounds = int(os.environ.get("DRILL_ROUNDS", "3"))
    for k in range(rounds):
        work = campaign(runs_dir=tmp_path / f"round{k}", settings={"epochs": 20})
        cluster.wait(lambda w=work: "submitted" in " ".join(w.runner.said), "it is submitted")
        time.sleep(0.5 * k)
        cluster.kill_controller()
        time.sleep(1)
        cluster.start_controller()
        assert work.finish() == ["done"], work.runner.said
        steps = steps_of(work)
        assert len(steps) == len(set(steps)) == 20
        cluster.ask("scontrol", "update", "nodename=left,right", "state=resume")
    figure(f"{rounds} rounds: 1 result each, no step doubled")


ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "partition: gpu": "partition: main",
    "account: speech": "",
    "memory_gb: 32": "memory_gb: 1",
    "cpus: 8": "cpus: 1",
    "gpus: 1": "gpus: 0",
}
"""What differs here from the cluster of `tisdiss run --help`."""


@pytest.mark.drill("R18")
def test_the_readmes_example_runs_with_the_file_of_the_help(cluster, figure, tmp_path):
    """Table 3 has rows with and without N_re; for want of a GPU the device is this machine's."""
    (line,) = re.findall(r"^tisdiss (run .*--slurm \S+)", (ROOT / "README.md").read_text(), re.M)
    lines = re.findall(r"`([a-z_]+: \w+)`", study_commands.run.__doc__)
    assert [words.partition(":")[0] for words in lines][:3] == ["partition", "account", "minutes"]
    text = "\n".join(lines)
    for there, here in SMALL.items():
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "cluster.yaml").write_text(text)
    for name in ("studies", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    words = [*line.replace("--device cuda", "--device cpu").split(), "--profile", "smoke"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tisdiss.cli", *words, "--no-track"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "16 done"
    figure(f"README's example: 16 runs of table3 in {time.monotonic() - began:.0f} s")
