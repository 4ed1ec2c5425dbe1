"""Commands about studies: engines, searches, what is refused before anything starts."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tisdiss.cli.asked import Asked
from tisdiss.study.load import find_studies

Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).resolve().parents[2]


def test_studies_of_the_package_are_found_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (study,) = find_studies(["fig2a"])
    (same,) = find_studies(["fig2a"], ROOT / "studies")
    assert study.model_dump() == same.model_dump()
    with pytest.raises(ValueError, match="no study 'fig2x'; nearest valid name: 'fig2"):
        find_studies(["fig2x"])


def test_a_study_of_ones_own_comes_before_that_of_the_package_and_uses_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "fig2b.yaml").write_text(
        "{study: fig2b, title: mine, claim: c, base: sep1x2-re1x3-l1+3,\n"
        "rows: [{id: a, use: fig2a/l1+3}], evaluate: {n_re: 1..3}, show: {figure: depth_curve}}\n"
    )
    (study,) = find_studies(["fig2b"])
    assert study.title == "mine"
    assert study.origin(study.rows[0])[0].study == "fig2a"


def test_the_schema_printed_is_the_schema_shipped(tisdiss: Run) -> None:
    code, out, _ = tisdiss("schema")
    assert code == 0
    assert json.loads(out) == json.loads((ROOT / "schemas" / "study.schema.json").read_text())


@pytest.mark.parametrize(
    ("words", "partition"),
    [(["--engine", "slurm"], None), (["--slurm", "FILE"], "gpu"), ([], "on this machine")],
)
def test_the_engine_is_chosen_by_its_name_or_its_settings(
    tisdiss: Run, tmp_path: Path, monkeypatch, words: list[str], partition: str | None
) -> None:
    from tisdiss.harness import launch, slurm

    def on_slurm(planned, *, settings, **_):
        used.append(settings.partition)
        return {"a": "done", "b": "skipped"}

    def here(planned, **_):
        used.append("on this machine")
        return {"a": "failed"}

    used: list[str | None] = []
    monkeypatch.setattr(Asked, "plan", lambda _: SimpleNamespace(notes=(), packages=()))
    monkeypatch.setattr(slurm, "launch_on_slurm", on_slurm)
    monkeypatch.setattr(launch, "launch", here)
    (tmp_path / "cluster.yaml").write_text("partition: gpu\n")
    file = str(tmp_path / "cluster.yaml")
    code, out, _ = tisdiss("run", "fig2a", *(file if w == "FILE" else w for w in words))
    assert used == [partition]
    assert (code, out) == ((0, "1 done, 1 skipped\n") if words else (3, "1 failed\n"))


def test_a_search_prints_its_trials_and_draws_them(
    tisdiss: Run, tmp_path: Path, monkeypatch
) -> None:
    """What trials and figures are is tested in harness/test_search.py and analysis."""
    from tisdiss.harness import search

    trials = [
        search.Tried(0, "complete", {"optim.lr": 1e-3}, (2.5,), "ab" * 32, ""),
        search.Tried(1, "fail", {"optim.lr": 1e-2}, None, "cd" * 32, "Diverged: too high"),
    ]
    monkeypatch.setattr(search, "search", lambda spec, profile, **_: trials)
    monkeypatch.setattr("tisdiss.analysis.search.report_search", lambda *given, force: [given])
    words = ["--profile", "smoke", "--runs-dir", tmp_path / "runs", "--out", tmp_path / "reports"]
    code, out, errors = tisdiss("search", "search_loss", *words)
    assert (code, errors) == (0, "")
    assert "*   0 complete  2.5 " in out and "1 fail      Diverged: too high" in out
    assert str(("search_loss", "smoke", tmp_path / "runs", tmp_path / "reports")) in out


@pytest.mark.parametrize("seed", [2**32, 20261128153000])
def test_a_long_seed_is_refused_before_anything_starts(tisdiss: Run, tmp_path, seed: int) -> None:
    words = ("run", "fig2a", "--profile", "smoke", "--runs-dir", tmp_path / "runs", "--seed", seed)
    code, out, errors = tisdiss(*words)
    assert (code, out) == (2, "") and not (tmp_path / "runs").exists()
    assert errors.startswith(f"error: {seed}: a seed is from 0 to 4294967295, because generators")


@pytest.mark.parametrize("device", ["meta", "mps", "cpu:1"])
@pytest.mark.parametrize("command", ["run", "time"])
def test_other_devices_are_refused_with_one_line(tisdiss: Run, tmp_path, command, device) -> None:
    options = ("--profile", "smoke", "--runs-dir", tmp_path / "runs", "--device", device)
    code, _, errors = tisdiss(command, "fig2a", *options)
    assert code == 2
    line = f"error: device='{device}' cannot be used here; use cpu, cuda or cuda:N"
    assert errors.splitlines()[-1] == line and not (tmp_path / "runs").exists()
