"""Commands about reports: folders, first lines, folded text."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tisdiss.cli.number_commands import folded

Run = Callable[..., tuple[int, str, str]]


def test_long_lines_are_folded_below_their_text() -> None:
    lines = [
        "  row       fine-tuned at re1x6, trained at N_re = 6",
        "MISSING         fig2e/deeper: row('re1x6') > row('base')",
        "NOT SIGNIFICANT fig2e/deeper: row('re1x6')",
        "config losses: ['last', 're1'] -> ['last']",
        "            test set 6b4d86ac81",
    ]
    assert folded("\n".join(lines), 32).splitlines() == [
        "  row       fine-tuned at re1x6,",
        "            trained at N_re = 6",
        "MISSING         fig2e/deeper:",
        "                row('re1x6') >",
        "                row('base')",
        "NOT SIGNIFICANT fig2e/deeper:",
        "                row('re1x6')",
        "config losses: ['last', 're1']",
        "  -> ['last']",
        "            test set 6b4d86ac81",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_differences_are_folded_on_a_terminal_alone(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    line = "config losses: " + " ".join(["last"] * 30) + f" {'ab' * 32}"
    monkeypatch.setattr("tisdiss.harness.diff.diff", lambda *_: [line])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("tisdiss.machine.surroundings.Enduring.isatty", lambda _: terminal)
    _, out, _ = tisdiss("diff", "a", "b")
    shown = line.replace("ab" * 32, "ab" * 5) if terminal else line
    assert (out == f"{line}\n") == (not terminal) and out.split() == shown.split()
    assert not terminal or max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("mine", "options", "read", "written"),
    [
        ([], [], "reports", "build/reports"),
        (["fig2b"], [], "reports", "build/reports"),
        (["fig2a"], [], "build/reports", "build/reports"),
        (["fig2a"], ["--reports", "reports"], "reports", "reports"),
    ],
)
def test_reports_go_below_build_and_kept_evidence_changes_only_by_name(
    tisdiss: Run, tmp_path: Path, monkeypatch, mine, options, read: str, written: str
) -> None:

    def called(*given, **_):
        calls.append(tuple(Path(g).as_posix() for g in given if isinstance(g, Path)))
        return [given[-1] / "x"] if isinstance(given[-1], Path) else given[2]

    calls: list[tuple[str, ...]] = []
    monkeypatch.chdir(tmp_path)
    for place in ("reports/fig2a", *(f"build/reports/{study}" for study in mine)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "provenance.json").write_text("{}")
    monkeypatch.setattr("tisdiss.analysis.report.again", called)
    monkeypatch.setattr("tisdiss.analysis.report.compose", called)
    monkeypatch.setattr("tisdiss.analysis.page.html_report", called)
    monkeypatch.setattr(
        "tisdiss.analysis.index.write_index", lambda folder: calls.append((str(folder),))
    )
    assert tisdiss("again", "fig2a", *options)[0] == 0
    assert calls == [(f"{read}/fig2a", f"{written}/fig2a"), (written,)]
    calls.clear()
    assert tisdiss("page", "fig2a", *options)[0] == 0
    index = [(written,)] if read == written else []
    assert calls == [(read, "runs", f"{written}/report.html"), *index]
    calls.clear()
    assert tisdiss("compose", *options)[0] == 0
    found = "build/reports" if mine and not options else "reports"
    assert calls == [(found, written), *([(written,)] if found == written else [])]


@pytest.mark.parametrize(("profile", "home"), [("mini", "build/reports"), ("smoke", "build/smoke")])
def test_a_report_says_what_to_look_at_first(
    tisdiss: Run, tmp_path: Path, monkeypatch, profile: str, home: str
) -> None:

    (tmp_path / "plans").mkdir()
    (tmp_path / f"plans/fig2e.{profile}.json").touch()

    def write_report(study, profile, runs_dir, out, *, say, **_):
        say("fig2e: figures")
        return [out / study / "fig2e.pdf", *[out / study / "x"] * 23, out / "README.md"]

    monkeypatch.setattr("tisdiss.analysis.report.report", write_report)
    code, out, errors = tisdiss("report", "fig2e", "--profile", profile, "--runs-dir", tmp_path)
    assert code == 0
    assert re.fullmatch(r"loading, about 22 s left\nfig2e: figures, about \d+ s left\n", errors)
    assert out.splitlines() == [
        f"{home}/fig2e/README.md: verdicts and table, 23 files beside it",
        f"{home}/fig2e/fig2e.png: the figure",
        f"{home}/README.md: all studies",
    ]


def test_why_names_the_folder_of_smoke_reports(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build/smoke/fig2a").mkdir(parents=True)
    code, _, errors = tisdiss("why", "fig2a:l1:si_snri")
    assert code == 2 and "no report of study 'fig2a' in reports; there is one of pro" in errors
    assert errors.endswith("add --reports build/smoke\n")
    assert "--reports build/smoke" not in tisdiss("why", "fig2b:l1:si_snri")[2]
