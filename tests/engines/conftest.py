"""A tiny study that really trains, and the table that `make drill` prints."""

import hashlib
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the tests share slurm_cluster.py and so on

from tisdiss.checkpoint import load_state, read_model_file
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.harness.runner import Runner
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.load import load_study

DRILLS = {
    "R1": "trainer killed at random moments: resumes, same weights and optimiser",
    "R2": "killed while saving, full disk: the checkpoint before is intact",
    "R3": "flipped bit in the newest checkpoint: found, the one before is used",
    "R4": "preempted by Slurm: saved, requeued, same result",
    "R5": "node lost: goes on on the other node",
    "R6": "controller killed after submission: each run has one result",
    "R7": "worker killed inside its job: submitted again, a few times",
    "R8": "started twice at once: one writer, the other is told who",
    "R9": "stopped (hung) run: lease expires, killed, restarted",
    "R10": "MLflow server killed: training goes on, nothing lost or doubled",
    "R11": "PostgreSQL stopped: as R10",
    "R12": "sqlite, eight writers: nothing lost",
    "R13": "one of two ranks killed: ends soon, resumes",
    "R14": "two ranks against one process: same weights within 1e-6",
    "R15": "orchestrator killed, same command again: same results",
    "R16": "loss is not finite: a row with its reason, the rest completes",
    "R17": "hostile checkpoints and documents: refused, nothing executed",
    "R18": "same study by every engine: same results",
    "R19": "PostgreSQL by the address that people write: search and MLflow, moved and stopped",
}
TINY = {
    "model.block.channels": 4,
    "model.block.attention_dim": 4,
    "model.block.n_heads": 1,
    "model.block.norm_groups": 1,
    "model.block.ffn_hidden": [4, 4],
    "data.segment_seconds": 0.25,
    "data.min_seconds": 0.25,
    "data.max_seconds": 0.25,
    "data.val_mixtures": 2,
    "data.test_mixtures": 2,
    "batch_size": 2,
    "steps_per_epoch": 2,
    "epochs": 3,
}
STUDY = """\
study: drill
title: Does it survive?
claim: Nothing is lost, doubled or foreign.
base: sep1x1-re1x1-l1+1
rows:
{rows}
evaluate: {{n_re: [1, 2]}}
show: {{figure: depth_curve}}
profiles: {{smoke: {{set: {{{settings}}}}}}}
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "drill(id): a fault of the table that `make drill` prints")
    config.addinivalue_line("markers", "engines: starts Slurm, PostgreSQL or an MLflow server")


def pytest_runtest_makereport(item, call):
    mark = item.get_closest_marker("drill")
    if mark and (call.excinfo is not None or call.when == "call"):
        if call.excinfo is None:
            word = "PASS"
        else:
            word = "NOT RUN" if call.excinfo.errisinstance(pytest.skip.Exception) else "FAIL"
        figures = [str(value) for key, value in item.user_properties if key == "figure"]
        if word == "NOT RUN":
            figures = [str(call.excinfo.value)]
        for name in mark.args:
            item.config.stash.setdefault(RESULTS, []).append((name, word, "; ".join(figures)))


RESULTS = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_terminal_summary(terminalreporter, config):
    results = config.stash.get(RESULTS, [])
    if not results or "drill" not in (config.getoption("-m") or ""):
        return
    terminalreporter.section("drill")
    for name, fault in DRILLS.items():
        ours = [(word, figures) for drill, word, figures in results if drill == name]
        words = {word for word, _ in ours} or {"NOT RUN"}
        word = next(w for w in ("FAIL", "PASS", "NOT RUN") if w in words)
        figures = "; ".join(dict.fromkeys(figures for _, figures in ours if figures))
        terminalreporter.write_line(f"{name:4} {word:8} {fault}{': ' + figures if figures else ''}")


@pytest.fixture
def figure(record_property):
    """Keep a measured figure for the table."""
    return lambda text: record_property("figure", text)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """Decoded sounds, made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_plan(tmp_path, shared_cache):
    """A plan of tiny trainings; each row is a line of YAML."""

    def make(rows=("{id: a}",), runs_dir=None, **settings):
        words = {**TINY, **{key.replace("__", "."): value for key, value in settings.items()}}
        path = tmp_path / "drill.yaml"
        path.write_text(
            STUDY.format(
                rows="\n".join(f"  - {row}" for row in rows),
                settings=", ".join(f"{key}: {value}" for key, value in words.items()),
            )
        )
        return plan(
            [load_study(path)],
            "smoke",
            runs_dir=runs_dir or tmp_path / "runs",
            corpora=Corpora(cache=shared_cache),
        )

    return make


@pytest.fixture
def make_runner(tmp_path, shared_cache):
    """A runner whose lines are kept in `runner.said`."""

    def make(**options):
        said = []
        defaults = {"runs_dir": tmp_path / "runs", "root": tmp_path, "threads": 1}
        corpora = Corpora(cache=shared_cache)
        runner = Runner(**{**defaults, "corpora": corpora, "say": said.append, **options})
        object.__setattr__(runner, "said", said)
        return runner

    return make


@pytest.fixture
def digest():
    """One hash of the results of a run: weights, optimiser and scores."""
    return result_digest


def result_digest(runs_dir, planned):
    folder = RunFolder.of(runs_dir, planned.identity)
    whole = hashlib.sha256()
    tensors, _, _ = read_model_file(folder.model_file)
    state, complaints = load_state(folder.path / "checkpoints")
    assert state is not None and not complaints
    for part in (tensors, state["model"], state["optimiser"]):
        _add(whole, part)
    for evaluation in planned.evaluations:
        whole.update(_scores(folder.evaluation(evaluation.identity)))
    return whole.hexdigest()


def _add(whole, part):
    if isinstance(part, torch.Tensor):
        whole.update(part.numpy().tobytes())
    elif isinstance(part, dict):
        for key in sorted(part, key=str):
            whole.update(str(key).encode())
            _add(whole, part[key])
    elif isinstance(part, (list, tuple)):
        for entry in part:
            _add(whole, entry)
    else:
        whole.update(repr(part).encode())


def _scores(folder):
    import pandas as pd

    return pd.read_parquet(folder / "scores.parquet").to_csv(index=False).encode()
