"""Stages of a long command, with the time left."""

import io
import sys

import pytest

from tisdiss.cli.bar import Stages, progress_bar, report_stages


def test_stages_tell_the_time_left_by_how_long_those_before_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clock = iter([100.0, 108.0, 108.5, 121.0])
    monkeypatch.setattr("tisdiss.cli.bar.time.monotonic", lambda: next(clock))
    told = Stages(report_stages(1, notebook=False))
    for what in ("fig2a: scores", "fig2a: figures", "fig2a: no font", "fig2a: tables and claims"):
        told(what)
    # usually 4, 0.2, 6 and 0.3 s; here loading takes twice as long
    assert capsys.readouterr().err.splitlines() == [
        "loading, about 10 s left",
        "fig2a: scores, about 13 s left",
        "fig2a: figures, about 13 s left",
        "fig2a: no font",
        "fig2a: tables and claims, about 1 s left",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_any_name_may_be_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("1/1 a[/b].wav") as on_part:
        on_part(1, 2)
        shown = sys.stderr
    assert "1/1 a[/b].wav" in shown.getvalue()  # type: ignore[attr-defined]
