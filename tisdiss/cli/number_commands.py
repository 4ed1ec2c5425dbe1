"""Commands that read finished runs and reports, and write results."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from tisdiss.cli.answers import (
    Json,
    claims_document,
    diff_document,
    print_json,
    why_document,
)
from tisdiss.cli.bar import Stages, report_stages, say
from tisdiss.cli.options import (
    Force,
    NewReports,
    Profile,
    RunsDir,
    Studies,
    holding,
    new_reports,
)
from tisdiss.machine.folders import PROOF, REPORTS, RUNS, SMOKE_REPORTS

app = typer.Typer()

Some = Annotated[list[str] | None, typer.Argument(help="Study names; all of the paper's if none.")]
Reports = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        help="Folder of reports; else build/reports, or reports/ if that has none.",
        show_default=False,
    ),
]

HEAD = re.compile(r" *(?:[A-Z ]+ (?=\S+/)|\S+ {2,})?")
"""The start of a line before its text: the indentation and the word of a first column."""
DIGEST = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{54}\b")


@app.command()
def report(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    out: NewReports = None,
    notebook: Annotated[
        bool, typer.Option(help="Add an executed notebook (a few seconds).")
    ] = True,
    force: Force = False,
) -> None:
    """Write figure, tables, scores and provenance of studies that were run.

    In a folder with files of yours, only files of an earlier report are replaced. MLflow shows the
    files, too, if it has been used here.

    Example: tisdiss report fig2e --profile mini
    """
    from tisdiss.analysis.places import check_planned
    from tisdiss.machine.extras import need

    need("studies")
    if notebook:
        need("notebook", "add --no-notebook")
    folder = new_reports(profile, out)
    names = [Path(name).stem for name in studies]
    for study, name in zip(names, studies, strict=True):
        if study.startswith("search_"):
            raise ValueError(f"{name} is a search, not a study; `tisdiss search {name}` reports it")
        check_planned(runs_dir, study, profile)
    say = Stages(report_stages(len(names), notebook=notebook))

    from tisdiss.analysis.report import report as write_report  # with pandas and matplotlib
    from tisdiss.harness.tracking.live import show_report

    for study in names:
        *written, index = write_report(
            study,
            profile,
            runs_dir,
            folder,
            notebook=notebook,
            force=force,
            say=say,
            warn=warn,
        )
        show_written(written)
        typer.echo(f"{index}: all studies")
        show_report(runs_dir, study, profile, written, typer.echo)


@app.command()
def claims(
    studies: Some = None,
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    as_json: Json = False,
) -> None:
    """Decide the claims of studies from finished runs: PASS, FAIL, UNDECIDED and so on.

    Exit code 1 if a claim fails. Example: tisdiss claims fig2e --profile mini
    """
    from tisdiss.records.runs_layout import plan_file
    from tisdiss.study.load import find_studies

    def planned(study: str) -> bool:
        return os.path.lexists(plan_file(runs_dir, Path(study).stem, profile))

    find_studies([study for study in studies or () if not planned(study)])

    # with pandas: only after the studies were checked
    from tisdiss.analysis.claims_of_studies import claims as decide
    from tisdiss.analysis.claims_text import any_failed, to_text
    from tisdiss.analysis.index import all_studies

    names = studies or all_studies(runs_dir, profile)
    verdicts = decide(names, profile, runs_dir, warn=warn)
    if as_json:
        print_json("claims", claims_document(verdicts, profile))
    else:
        _show(to_text(verdicts, profile))
    if any_failed(verdicts):
        raise typer.Exit(1)


@app.command()
def why(
    cell: Annotated[str, typer.Argument(help="study:row:score, or study:row:score.re5.")],
    reports: Reports = None,
    as_json: Json = False,
) -> None:
    """Trace a number of a report back to its runs, config, data and code.

    Example: tisdiss why fig2e:re1x6:si_snri.re6
    """
    from tisdiss.analysis.cell import split_cell
    from tisdiss.analysis.places import check_reported
    from tisdiss.records.revision import code_hash

    study, _, _ = split_cell(cell)
    folder = reports or holding([study])
    if (SMOKE_REPORTS / study).is_dir() and not (folder / study).is_dir():
        raise ValueError(
            f"{cell}: no report of study '{study}' in {folder}; there is one of profile smoke: "
            f"add --reports {SMOKE_REPORTS}"
        )
    check_reported(cell, folder, study)

    from tisdiss.analysis.provenance import why as explain  # with pandas
    from tisdiss.analysis.provenance import why_text

    answer = explain(cell, reports=folder, code_hash=code_hash())
    if as_json:
        print_json("why", why_document(answer))
    else:
        _show(why_text(answer))


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="First digits of a run.")],
    b: Annotated[str, typer.Argument(help="First digits of another.")],
    runs_dir: RunsDir = RUNS,
    as_json: Json = False,
) -> None:
    """Show the differences of two runs: config, data, environment, code, scores.

    `tisdiss status` shows the first digits of every run.

    Example: tisdiss diff a8bc 077c, after tisdiss run fig2a --profile smoke
    """
    from tisdiss.harness.diff import diff as compare

    differences = compare(runs_dir, a, b)
    if as_json:
        print_json("diff", diff_document(differences))
    else:
        _show("\n".join(map(str, differences)) or "no difference")


@app.command()
def compose(reports: Reports = None, force: Force = False) -> None:
    """Draw Fig. 2 from all panels that have a report, and what depth gains in all reports.

    Example: tisdiss compose
    """
    from tisdiss.analysis.places import check_panels

    source, out = reports or holding(), reports or REPORTS
    check_panels(source)

    from tisdiss.analysis.index import write_index  # with pandas and matplotlib
    from tisdiss.analysis.report import compose as draw

    for path in draw(source, out, force=force, say=say, warn=warn):
        typer.echo(path)
    if out == source:
        typer.echo(write_index(out))


@app.command()
def page(
    studies: Annotated[list[str] | None, typer.Argument(help="Study names; all if none.")] = None,
    reports: Reports = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder of runs, which have the sounds.")] = RUNS,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; else report.html beside the reports.")
    ] = None,
    own_speech: Annotated[
        bool, typer.Option(help="Include sounds that may not be passed on: a page only for you.")
    ] = False,
    force: Force = False,
) -> None:
    """Write one offline page of all reports: verdicts, figures, tables, depths to listen to.

    Example: tisdiss page --own-speech --out build/private.html
    """
    from tisdiss.analysis.places import check_reports, reported

    source = reports or holding(studies or ())
    home = reports or REPORTS
    check_reports(source, studies or ())
    shown = len(studies or reported(source))
    say = Stages(["sounds"] * shown + ["figures and tables"] * shown)

    from tisdiss.analysis.index import write_index  # with pandas and matplotlib
    from tisdiss.analysis.page import html_report

    path = html_report(
        source,
        runs_dir,
        out or home / "report.html",
        studies or (),
        own_speech=own_speech,
        force=force,
        say=say,
        warn=warn,
    )
    typer.echo(f"{path}: open it in a browser")
    if path.parent == home == source:
        typer.echo(write_index(home))


@app.command()
def again(
    studies: Annotated[list[str], typer.Argument(help="Study names, as in the reports.")],
    reports: Reports = None,
    notebook: Annotated[bool, typer.Option(help="Also execute the notebook.")] = True,
    force: Force = False,
) -> None:
    """Write reports again from their own scores, without runs: after new plots or claims.

    Example: tisdiss again base fig2e
    """
    from tisdiss.machine.extras import need
    from tisdiss.records.report_record import check_report

    need("studies")
    if notebook:
        need("notebook", "add --no-notebook")
    out = reports or REPORTS
    folders = [(reports or holding([study])) / study for study in studies]
    for folder in folders:
        check_report(folder)
    say = Stages(report_stages(len(folders), notebook=notebook))

    from tisdiss.analysis.index import write_index  # with pandas and matplotlib
    from tisdiss.analysis.report import again as rewrite

    for folder in folders:
        show_written(rewrite(folder, out / folder.name, notebook=notebook, force=force, say=say))
    typer.echo(write_index(out))


@app.command("check-tex")
def check_tex(
    reports: Reports = None,
    out: Annotated[Path, typer.Option(help="The PDF.")] = PROOF,
    force: Force = False,
) -> None:
    """Compile all tables and figures into one PDF; exit code 1 on a warning that matters.

    Example: tisdiss check-tex
    """
    from tisdiss.analysis.proof_sheet import check_tex_pdf

    problems = check_tex_pdf(reports or holding(), out, force=force)
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(out)
    if problems:
        raise typer.Exit(1)


def show_written(paths: list[Path]) -> None:
    """Print the main files of a study's report, and the number of others."""
    folder = paths[0].parent
    typer.echo(f"{folder / 'README.md'}: verdicts and table, {len(paths) - 1} files beside it")
    typer.echo(f"{folder / folder.name}.png: the figure")


def warn(text: str) -> None:
    """Print on stderr what was left out."""
    typer.secho(f"left out: {text}", fg="yellow", err=True)


def _show(text: str) -> None:
    """Print; on a terminal, with short digests and folded to its width."""
    if sys.stdout.isatty():
        text = folded(DIGEST.sub(r"\1", text), shutil.get_terminal_size().columns)
    typer.echo(text.rstrip("\n"))


def folded(text: str, width: int) -> str:
    """Lines broken between words; continuations are indented to the text of their line."""
    return "\n".join(_folded(line, width) for line in text.splitlines())


def _folded(line: str, width: int) -> str:
    head = HEAD.match(line)
    indent = len(head.group()) if head else 0
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * max(indent, 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
