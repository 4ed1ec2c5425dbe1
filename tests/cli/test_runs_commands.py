"""Commands about the folder of runs: progress of runs, and the MLflow page on a busy port."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tisdiss.harness.diff import Difference
from tisdiss.harness.reproduction.agreement import Agreement
from tisdiss.harness.reproduction.reproduce import How, Reproduction
from tisdiss.harness.tracking.ui import check_port
from tisdiss.records.run_folder import Journal, RunFolder

Run = Callable[..., tuple[int, str, str]]


def test_a_busy_port_is_refused_before_anything_is_served(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code, out, errors = tisdiss("ui", "--port", port, "--runs-dir", tmp_path / "runs")
    assert (code, out) == (2, "") and not (tmp_path / "mlflow.db").exists()
    assert f"error: port {port} of this machine cannot be used (Address already in use)" in errors
    assert "--port" in errors
    check_port(port, runs_dir=tmp_path / "runs")


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_status_of_nothing_says_how_to_begin(tisdiss: Run, tmp_path: Path, watch) -> None:
    code, out, _ = tisdiss("status", *watch, "--runs-dir", tmp_path)
    assert code == 0
    assert f"no study is planned in {tmp_path}; start with: tisdiss run fig2e --prof" in out


@pytest.fixture
def planned_run(tmp_path: Path) -> RunFolder:
    """The first of two runs that fig2a plans; of the second there is no folder."""
    rows = [
        {"id": row, "runs": [{"seed": 0, "identity": letters * 32, "evaluation": "cd" * 32}]}
        for row, letters in (("l1", "ab"), ("l2", "12"))
    ]
    plan = {"study": "fig2a", "profile": "smoke", "rows": rows}
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "fig2a.smoke.json").write_text(json.dumps(plan))
    folder = RunFolder.of(tmp_path, "ab" * 32)
    folder.write("config.json", {"identity": folder.identity})
    return folder


def status_rows(out: str) -> dict[str, list[str]]:
    """The words of each line of the table, by row."""
    return {words[2]: words for words in map(str.split, out.splitlines()) if len(words) > 5}


def test_status_gives_the_reason_of_a_failure_as_it_is(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder
) -> None:
    planned_run.write("result.json", {"status": "failed", "reason": "OSError: no room in [/disk]"})
    code, out, _ = tisdiss("status", "--runs-dir", tmp_path)
    assert code == 0 and "failed" in out and "OSError: no room in [/disk]" in out


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_status_refuses_a_study_that_is_not_planned(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder, watch
) -> None:
    code, out, errors = tisdiss("status", "fig2b", *watch, "--runs-dir", tmp_path)
    assert (code, out) == (2, "")
    assert (
        f"error: study 'fig2b' has no plan in {tmp_path}; nearest valid name: 'fig2a'; " in errors
    )
    assert tisdiss("status", "studies/fig2a.yaml", *watch, "--runs-dir", tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["config.json", "result.json", "events.jsonl"])
def test_status_shows_a_damaged_run_and_goes_on(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder, name: str, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (planned_run.path / name).write_text('{"sta\n')
    (tmp_path / "plans" / "fig2b.mini.json").write_text("{")
    code, out, _ = tisdiss("status", "--runs-dir", tmp_path)
    rows = status_rows(out)
    assert code == 0 and (rows["l1"][5], rows["l2"][5]) == ("damaged", "new")
    told = "".join(out.split())
    assert name in told and "fig2b.mini.json:notJSON" in told and "…" not in told


def test_progress_is_not_that_of_another_evaluation(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder
) -> None:
    planned_run.write("result.json", {"status": "running", "reason": "time"})
    with Journal(planned_run.journal) as journal:
        journal.append({"kind": "epoch", "step": 9, "epoch": 2, "metrics": {}})
        journal.append({"kind": "eval", "step": 5, "epoch": 0, "metrics": {}})
        journal.append({"kind": "depth", "step": 10, "epoch": 0, "evaluation": "ef" * 32})
    out = tisdiss("status", "--runs-dir", tmp_path)[1]
    assert "epoch 2 step 9" in out and "scored" not in out and "eval 5" not in out
    path = planned_run.evaluation("cd" * 32)
    path.with_name(f".{path.name}.partial").mkdir(parents=True)
    assert "eval 5" in tisdiss("status", "--runs-dir", tmp_path)[1]
    with Journal(planned_run.journal) as journal:
        journal.append({"kind": "depth", "step": 6, "epoch": 0, "evaluation": "cd" * 32})
    assert "scored up to N_re 6" in tisdiss("status", "--runs-dir", tmp_path)[1]


def test_a_reproduction_tells_verdict_and_causes(tisdiss: Run, monkeypatch) -> None:
    asked = []

    def make_again(runs_dir, run, how, **_):
        asked.append((runs_dir, run, how))
        return Reproduction(
            run="ab" * 32,
            model="sep1x1-re1x1-l1",
            verdict="different",
            agreements=[Agreement("weights", 7, False, 0.5, 1e-6, "w")],
            causes=[Difference("packages", "numpy", "2.4.5", "2.4.6")],
            code="commit 0123456789",
            packages="3 packages by uv",
            parent=None,
            notes=[],
            scratch=Path("build/reproduce/ababababab"),
        )

    monkeypatch.setattr("tisdiss.harness.reproduction.reproduce.reproduce", make_again)
    code, out, _ = tisdiss("reproduce", "abab", "--here", "--threads", "2", "--keep")
    assert (code, asked) == (1, [(Path("runs"), "abab", How(here=True, threads=2, keep=True))])
    assert out.splitlines() == [
        "ababababab sep1x1-re1x1-l1: different",
        "  weights: different, greatest difference 0.5 (w), bound of rounding 1e-06",
        "  made with commit 0123456789; 3 packages by uv; no parent",
        "  differs: packages numpy: 2.4.5 -> 2.4.6",
        "  everything is in build/reproduce/ababababab",
    ]


def test_a_run_that_is_not_there_is_not_made_again(tisdiss: Run, tmp_path: Path) -> None:
    code, out, errors = tisdiss("reproduce", "abab", "--runs-dir", tmp_path)
    assert (code, out) == (2, "") and f"error: 'abab' matches 0 runs of {tmp_path}" in errors
    assert tisdiss("reproduce", "abab", "--device", "gpu")[0] == 2


def test_promote_refuses_a_claim_without_a_report(tisdiss: Run, tmp_path: Path) -> None:
    words = ("--if", "fig2a/steady", "--reports", tmp_path / "none", "--runs-dir", tmp_path)
    code, out, errors = tisdiss("promote", "ab", *words)
    assert (code, out) == (2, "")
    assert (
        errors
        == f"error: {tmp_path}/none/fig2a holds no report: `tisdiss report fig2a` writes it\n"
    )
    code, _, errors = tisdiss("promote", "ab", "--runs-dir", tmp_path)
    assert code == 2 and errors.startswith(f"error: 'ab' matches 0 runs of {tmp_path}; valid names")
