"""`tisdiss power` and the options of `run --until-decided`: what is refused."""

from pathlib import Path

import pytest


def test_power_of_a_study_that_was_not_run_names_the_command(tisdiss, tmp_path: Path) -> None:
    code, out, errors = tisdiss("power", "fig2a", "--runs-dir", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert "no plan of study 'fig2a' at profile 'mini': run `tisdiss run fig2a" in errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--until-decided"], "--until-decided needs a time limit: add --max-hours"),
        (["--max-hours", "2"], "--max-hours is for --until-decided: add it"),
        (["--until-decided", "--max-hours", "0"], "0: give a number above 0"),
        (["--until-decided", "--max-hours", "1", "--engine", "slurm"], "use --engine local"),
        (
            ["--until-decided", "--max-hours", "1", "--max-seeds", "1"],
            "greater than or equal to 2",
        ),
    ],
)
def test_rounds_without_an_end_are_refused(tisdiss, tmp_path, words, told) -> None:
    code, _, errors = tisdiss("run", "fig2a", "--runs-dir", tmp_path / "runs", *words)
    assert code == 2 and told in " ".join(errors.replace("│", " ").split())
    assert not (tmp_path / "runs").exists()
