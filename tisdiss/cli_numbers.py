"""Commands that read finished runs and reports: claims, why, diff, compose, page, check-tex."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

PAPER = ("table1", "table2", "table3", *(f"fig2{panel}" for panel in "abcdefgh"))

Some = Annotated[list[str] | None, typer.Argument(help="Study names; all of the paper's if none.")]
Profile = Annotated[str, typer.Option(help="Size at which the studies were run.")]
RunsDir = Annotated[Path, typer.Option(help="Where run folders are.")]
Reports = Annotated[Path, typer.Option(help="Folder of reports.")]


@app.command()
def claims(
    studies: Some = None, profile: Profile = "mini", runs_dir: RunsDir = Path("runs")
) -> None:
    """Decide the paper's claims from finished runs: PASS, FAIL, NOT SIGNIFICANT, MISSING.

    Exit code 1 when a claim fails. Example: tisdiss claims fig2e --profile mini
    """
    from analysis.claims import any_failed, to_text
    from analysis.claims import claims as decide

    verdicts = decide(studies or PAPER, profile, runs_dir)
    typer.echo(to_text(verdicts, profile), nl=False)
    if any_failed(verdicts):
        raise typer.Exit(1)


@app.command()
def why(
    cell: Annotated[str, typer.Argument(help="study:row:score, or study:row:score.re5.")],
    reports: Reports = Path("reports"),
) -> None:
    """Walk a number of a report back to its runs, config, data and code.

    Example: tisdiss why fig2e:re1x6:si_snri.re6
    """
    from analysis.provenance import why as explain
    from analysis.provenance import why_text
    from tisdiss.harness.environment import code_hash

    typer.echo(why_text(explain(cell, reports=reports, code_hash=code_hash())), nl=False)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="First digits of a run.")],
    b: Annotated[str, typer.Argument(help="First digits of another.")],
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Say in what two runs differ: config, data, environment, code, scores.

    Example: tisdiss diff f989 64ed
    """
    from tisdiss.harness.diff import diff as compare

    for difference in compare(runs_dir, a, b):
        typer.echo(str(difference))


@app.command()
def compose(
    profile: Profile = "mini", runs_dir: RunsDir = Path("runs"), out: Reports = Path("reports")
) -> None:
    """Draw Fig. 2 out of all panels that were run.

    Example: tisdiss compose --profile lab
    """
    from analysis.report import compose as draw

    for path in draw(profile, runs_dir, out):
        typer.echo(path)


@app.command()
def page(
    studies: Some = None,
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("reports/report.html"),
) -> None:
    """Write one offline page of all studies: verdicts, figures, tables, depths to listen to.

    Example: tisdiss page --profile mini
    """
    from analysis.page import html_report

    written, absent = html_report(studies or PAPER, profile, runs_dir, out)
    typer.echo(written)
    for reason in absent:
        typer.echo(f"not on it: {reason}", err=True)


@app.command("check-tex")
def check_tex(
    reports: Reports = Path("reports"),
    out: Annotated[Path, typer.Option(help="The PDF.")] = Path("build/proof.pdf"),
) -> None:
    """Compile all tables and figures into one PDF; exit code 1 on a warning that matters.

    Example: tisdiss check-tex
    """
    from analysis.proof import check_tex_pdf

    problems = check_tex_pdf(reports, out)
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(out)
    if problems:
        raise typer.Exit(1)
