"""The real entry points, from a study file to a report, at profile smoke."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from tisdiss import cli

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Runs `tisdiss` on a row of Fig. 2a in a folder of its own; returns the exit code."""
    home = tmp_path_factory.mktemp("smoke")
    (home / "studies").symlink_to(ROOT / "studies")
    runs = ["--runs-dir", str(home / "runs")]
    common = {
        "plan": ["fig2a", "--profile", "smoke", "--seed", "0", "--row", "l1+3", *runs],
        "report": [
            "fig2a",
            "--profile",
            "smoke",
            "--out",
            str(home / "reports"),
            "--no-notebook",
            *runs,
        ],
        "status": runs,
    }
    common["run"] = [*common["plan"], "--no-track"]

    def run(command: str, *more: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(home)
            patch.setattr(sys, "argv", ["tisdiss", command, *common[command], *more])
            patch.setenv("COLUMNS", "200")
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return ended.value.code or 0

    return run, home


@pytest.fixture(scope="module")
def finished(smoke) -> Path:
    """The folder after a stopped run, the run that resumes it, and the report."""
    run, home = smoke
    assert run("run", "--max-minutes", "0.0001") == 3
    assert result(home)["status"] == "running" and result(home)["steps"] == 1
    assert run("run") == run("report") == 0
    return home


def result(home: Path) -> dict:
    (path,) = home.glob("runs/*/result.json")
    return json.loads(path.read_text())


def scores(home: Path) -> pd.DataFrame:
    (path,) = home.glob("runs/*/evaluations/*/scores.parquet")
    return pd.read_parquet(path)


def test_a_plan_starts_nothing(smoke, capsys: pytest.CaptureFixture) -> None:
    run, home = smoke
    before = sorted(home.rglob("*"))
    assert run("plan") == 0
    shown = capsys.readouterr().out
    assert "profile smoke" in shown and "fig2a/l1+3" in shown and "sep1x2-re1x3-l1+3" in shown
    assert sorted(home.rglob("*")) == before


def test_a_stopped_run_resumes_and_is_done(finished: Path) -> None:
    done = result(finished)
    assert (done["status"], done["steps"], done["epochs"]) == ("done", 4, 2)


def test_every_depth_of_every_mixture_is_scored(finished: Path) -> None:
    table = scores(finished)
    assert len(table) == 4 * 2 * 10 and sorted(set(table["n_re"])) == list(range(1, 11))
    assert table[["si_snri", "sdri"]].notna().all().all()


def test_the_same_command_again_does_nothing(finished: Path, smoke, capsys) -> None:
    run, _ = smoke
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*.safetensors")}
    assert run("run") == 0
    assert "1 skipped" in capsys.readouterr().out
    assert len(before) == 1 and {path: path.stat().st_mtime_ns for path in before} == before


def test_status_shows_the_planned_row(finished: Path, smoke, capsys) -> None:
    run, _ = smoke
    assert run("status") == 0
    shown = capsys.readouterr().out
    assert "fig2a" in shown and "l1+3" in shown and shown.count("done") == 1


def test_the_report_is_complete_and_says_that_it_means_nothing(finished: Path) -> None:
    folder = finished / "reports" / "fig2a"
    names = {path.name for path in folder.iterdir()}
    wanted = {"fig2a.pdf", "fig2a.png", "table.tex", "table.md", "table.csv", "scores.parquet"}
    assert wanted | {"provenance.json"} <= names
    assert (folder / "fig2a.pdf").read_bytes().startswith(b"%PDF")
    table = (folder / "table.md").read_text()
    assert "l1+3" in table and "smoke" in table
    assert "numbers mean nothing" in table and "synthetic sounds, no speech" in table


def test_the_report_shows_the_scores_that_were_made(finished: Path) -> None:
    table = pd.read_csv(finished / "reports" / "fig2a" / "table.csv")
    for metric in ("si_snri", "sdri"):
        means = scores(finished).groupby("n_re")[metric].mean()
        shown = table[table["metric"] == metric].set_index("n_re")["mean"]
        assert shown.to_dict() == pytest.approx(means.to_dict(), abs=1e-4)
