"""The `tisdiss` command in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tisdiss import cli

ROOT = Path(__file__).resolve().parents[2]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tisdiss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    """Runs the command in this process; exit code, output and errors."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tisdiss", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run
