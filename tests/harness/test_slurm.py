"""Decisions from Slurm's answers; tests/engines runs a real Slurm."""

from pathlib import Path

import pytest

from tisdiss.harness import slurm
from tisdiss.harness.plan import Plan
from tisdiss.harness.planner import plan
from tisdiss.harness.slurm import launch_on_slurm
from tisdiss.harness.slurm_jobs import SlurmSettings, Submission, Task, executor_of, tasks_of
from tisdiss.harness.worker import EXIT_CODES
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.load import load_study

ROWS = ["{id: a}", "{id: b, init_from: a, model: sep1x2-re1x6}", "{id: c, set: {epochs: 1}}"]


class PretendedSlurm:
    """Runs jobs when asked what they do; `script` says how each start of a run ends."""

    def __init__(self, runner, script):
        self.runner, self.script = runner, script
        self.tasks, self.jobs, self.arrays, self.cancelled = {}, {}, [], []

    def executor_of(self, submission, settings):
        self.submission = submission
        return self

    def submit_array(self, jobs):
        if isinstance(self.script, Exception):
            raise self.script
        self.arrays.append(len(jobs))
        name = self.submission.name
        self.jobs[name] = (self.submission, [job.command for job in jobs])
        self.tasks[name] = {k: Task("PENDING", f"1_{k}") for k in range(len(jobs))}

    def tasks_of(self, prefix):
        now = {name: dict(tasks) for name, tasks in self.tasks.items() if name.startswith(prefix)}
        for name, (submission, commands) in self.jobs.items():
            for k, identity in enumerate(submission.identities):
                if self.tasks[name].get(k, Task("", "")).state == "PENDING":
                    self._work(submission, k, identity, commands[k])
        return now

    def _work(self, submission, k, identity, command):
        planned = Plan.model_validate_json(Path(command[3]).read_text()).run(identity)
        (row,) = {member.row for member in planned.members}
        ends = self.script.get(row, [])
        end = ends.pop(0) if ends else "done"
        if end == "ABSENT":
            del self.tasks[submission.name][k]
            return
        self.tasks[submission.name][k] = Task("COMPLETED" if end == "done" else end, f"1_{k}")
        if end == "done":
            code = EXIT_CODES[self.runner.run(planned)]
            submission.code_file(identity).write_text(f"{code}\n")


@pytest.fixture
def go(write_study, corpora, make_runner, tmp_path, monkeypatch):
    """Launch on a pretended Slurm; returns the outcomes in the plan's order, and that Slurm."""

    def go(script=(), rows=ROWS, **options):
        study = load_study(write_study(rows))
        planned = plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)
        runner = make_runner(lease_seconds=0.05)
        pretended = PretendedSlurm(
            runner, script if isinstance(script, Exception) else {**dict(script)}
        )
        for name in ("executor_of", "tasks_of"):
            monkeypatch.setattr(slurm, name, getattr(pretended, name))
        monkeypatch.setattr(slurm, "cancel", pretended.cancelled.append)
        monkeypatch.setattr(slurm, "SETTLE_SECONDS", 0.0)
        monkeypatch.setattr(slurm, "LINGER_SECONDS", 0.1)
        options = {"settings": SlurmSettings(), "track": False, "poll_seconds": 0.02, **options}
        outcomes = launch_on_slurm(planned, runner=runner, **options)
        pretended.runner = runner
        return [outcomes[run.identity] for run in planned.runs], pretended

    return go


def test_children_are_submitted_after_their_parents_and_the_rest_together(go):
    outcomes, pretended = go()
    assert outcomes == ["done"] * 3 and pretended.arrays == [2, 1]


def test_what_is_done_is_not_submitted(go):
    go()
    outcomes, pretended = go()
    assert outcomes == ["skipped"] * 3 and pretended.arrays == []


@pytest.mark.parametrize("end", ["FAILED", "NODE_FAIL", "ABSENT", "HELD"])
def test_a_job_that_ends_without_a_result_is_submitted_again(go, end):
    outcomes, pretended = go({"c": [end]}, rows=ROWS[:1] + ROWS[2:])
    assert outcomes == ["done"] * 2 and pretended.arrays == [2, 1]
    assert any("it is submitted again and resumes" in line for line in pretended.runner.said)
    assert len(pretended.cancelled) == (end == "HELD")


def test_a_run_that_keeps_crashing_is_a_row_and_its_child_is_blocked(go, tmp_path):
    outcomes, _ = go({"a": ["FAILED"] * 9}, tries=2)
    assert outcomes == ["failed", "blocked", "done"]
    folder = [f for f in (tmp_path / "runs").glob("?" * 10) if not (f / "events.jsonl").exists()]
    result = RunFolder(folder[0], "").result()
    assert result.reason == "its job ended (FAILED) without a result, 2 times"


def test_a_refusal_is_a_mistake_with_slurms_own_words(go):
    error = RuntimeError("sbatch: error: invalid partition specified: gpuu")
    with pytest.raises(ValueError, match=r"invalid partition specified: gpuu; change the settings"):
        go(error)


def test_a_refusal_leaves_nothing_behind(go, tmp_path):
    with pytest.raises(ValueError, match="invalid partition"):
        go(RuntimeError("sbatch: error: invalid partition specified: gpuu"))
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "words",
    ['Could not detect "srun", are you indeed', "Could not establish a configuration source"],
)
def test_without_slurm_the_message_says_so(go, words):
    with pytest.raises(ValueError, match=r"there is no Slurm here .*without --slurm"):
        go(RuntimeError(words))


def test_a_deadline_leaves_the_jobs_to_themselves_and_the_next_call_finds_them(go, tmp_path):
    outcomes, pretended = go({"a": ["RUNNING"] * 3}, rows=ROWS[:1], deadline_seconds=0.2)
    assert (
        outcomes == ["stopped"] and "the same command finds them again" in pretended.runner.said[-1]
    )


def test_submitit_accepts_the_settings(tmp_path, monkeypatch):
    monkeypatch.setattr("submitit.SlurmExecutor.affinity", classmethod(lambda cls: 2))
    ours = SlurmSettings(partition="gpu", account="lab", minutes=90, memory_gb=4, cpus=3, gpus=2)
    executor = executor_of(Submission(tmp_path / "tisdiss-x", ("a",)), ours)
    text = executor._make_submission_file_text("true", "x")
    for line in ("partition=gpu", "account=lab", "time=90", "mem=4GB", "gpus-per-node=2"):
        assert f"#SBATCH --{line}" in text
    assert "signal=USR2@90" in text and "job-name=tisdiss-x" in text


def test_without_an_answer_of_slurm_nothing_is_known(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert tasks_of("tisdiss-") is None
