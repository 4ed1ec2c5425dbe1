"""Commands about the folder of runs: status, MLflow, making runs again, deletion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tisdiss.cli.answers import (
    Json,
    gc_document,
    print_json,
    reproduce_document,
    status_document,
)
from tisdiss.cli.asked import Asked
from tisdiss.cli.options import (
    Cache,
    Profile,
    RunsDir,
    Speech,
    Studies,
    Threads,
    holding,
    known_device,
)
from tisdiss.machine.folders import CACHE, KEPT_REPORTS, RUNS

if TYPE_CHECKING:
    from tisdiss.harness.gc import Collected
    from tisdiss.harness.reproduction.reproduce import Reproduction

app = typer.Typer()


def _device(name: str | None) -> str | None:
    return None if name is None else known_device(name)


@app.command()
def status(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Only these studies.", show_default=False)
    ] = None,
    runs_dir: RunsDir = RUNS,
    watch: Annotated[bool, typer.Option("--watch", help="Redraw every few seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Show every planned row and the progress of its runs.

    Example: tisdiss status fig2a --watch
    """
    from rich.console import Console

    from tisdiss.harness.display import status as status_of
    from tisdiss.harness.display import status_lines
    from tisdiss.harness.watch import watch_status

    names = [Path(study).stem for study in studies or ()]
    if watch and as_json:
        raise typer.BadParameter("--json prints once: leave --watch out")
    if as_json:
        print_json("status", status_document(status_lines(runs_dir, names)))
    elif watch:
        watch_status(runs_dir, Console(), names)
    else:
        Console().print(status_of(runs_dir, names))


@app.command()
def sync(
    runs_dir: RunsDir = RUNS,
    uri: Annotated[
        str | None, typer.Option(help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db.")
    ] = None,
) -> None:
    """Bring MLflow up to date with the run folders; safe to repeat.

    Example: tisdiss sync --uri http://127.0.0.1:5000
    """
    from tisdiss.harness.tracking.sync import sync as sync_runs

    typer.echo(sync_runs(runs_dir, uri))


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="First digits of a finished run.")],
    alias: Annotated[
        str | None, typer.Option(help="Name for this version, such as best; moved if it exists.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Registered model; else tisdiss.", show_default=False)
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(
            "--if",
            help="study/claim, such as fig2a/steady: only if a report that has the run says PASS.",
        ),
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option(
            help="Folder of that report; else build/reports, or reports/ if that lacks it.",
            show_default=False,
        ),
    ] = None,
    runs_dir: RunsDir = RUNS,
    uri: Annotated[
        str | None, typer.Option(help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db.")
    ] = None,
) -> None:
    """Register a run's weights in MLflow; safe to repeat.

    --model models:/tisdiss@best, tisdiss.load and mlflow.pyfunc.load_model then find them.

    Example: tisdiss promote a8bc --alias best --if fig2a/steady
    """
    from tisdiss.harness.tracking.promote import check_claim
    from tisdiss.harness.tracking.promote import promote as promote_run
    from tisdiss.records.names import REGISTERED_MODEL

    if claim is not None:
        check_claim(claim, run, reports or holding([claim.partition("/")[0]]), runs_dir)
    registered = name or REGISTERED_MODEL
    typer.echo(promote_run(runs_dir, run, name=registered, alias=alias, uri=uri))


@app.command()
def ui(
    study: Annotated[str | None, typer.Argument(help="Print the link to this study's charts.")] = (
        None
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Bring MLflow up to date and serve its pages on this machine, with links to charts.

    Runs in progress are kept up to date while it serves.

    Example: tisdiss ui fig2e
    """
    from tisdiss.harness.tracking.shown import shown_studies
    from tisdiss.harness.tracking.sync import sync as sync_runs
    from tisdiss.harness.tracking.sync import ui_links
    from tisdiss.harness.tracking.ui import check_port
    from tisdiss.harness.tracking.ui import ui as serve
    from tisdiss.records.files import DamagedError
    from tisdiss.study.load import find_studies

    shown = shown_studies(runs_dir)
    unknown = [study] if study and study not in shown else []
    studies = [each.study for each in find_studies(unknown)] or ([study] if study else shown)
    check_port(port, runs_dir=runs_dir)
    try:
        typer.echo(sync_runs(runs_dir))
    except DamagedError as error:  # the other runs were synced
        typer.secho(f"error: {error}", fg="red", err=True)
    for links in ui_links(studies, port, runs_dir=runs_dir):
        typer.echo(f"{links.study} charts: {links.charts}")
        typer.echo(f"{links.study} table:  {links.table}")
    raise typer.Exit(serve(port, runs_dir=runs_dir))


@app.command()
def restore(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    cache: Cache = CACHE,
    speech: Speech = None,
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = KEPT_REPORTS,
) -> None:
    """Take finished runs over from reports: settings and scores, without weights.

    Runs of the current plan that a report already holds are then not trained again. You can add
    seeds, and decide claims on all of them.

    Example: tisdiss restore fig2a --profile cpu --speech /path/to/speakers
    """
    from tisdiss.analysis.places import check_reports
    from tisdiss.harness.restore import restore as take_over
    from tisdiss.harness.restore import runs_of

    names = [Path(study).stem for study in studies]
    check_reports(reports, names)
    for study, name in zip(studies, names, strict=True):
        scored = runs_of(reports / name)
        seeds = sorted({run.seed for run in scored.values()})
        made = Asked([study], profile, runs_dir, cache, speech, seeds).plan()
        for run in take_over(made, reports / name, runs_dir):
            typer.echo(f"{run}: restored, without weights")
        runs = {identity for identity, _ in scored}
        others = len(runs - {run.identity for run in made.runs})
        typer.echo(
            f"{name}: {others} of {len(runs)} runs of the report are of other settings or data"
        )


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="First digits of a finished run.")],
    runs_dir: RunsDir = RUNS,
    cache: Cache = CACHE,
    speech: Speech = None,
    here: Annotated[
        bool, typer.Option("--here", help="Use the present packages, instead of installing.")
    ] = False,
    this_code: Annotated[
        bool, typer.Option("--this-code", help="Use the present code, instead of the run's commit.")
    ] = False,
    evaluate_only: Annotated[
        bool, typer.Option("--evaluate-only", help="Score the kept weights; train nothing.")
    ] = False,
    chain: Annotated[
        bool,
        typer.Option(
            "--chain",
            help="Also train the runs again whose weights it starts from; else kept ones.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(callback=_device, help="Instead of the run's.", show_default=False),
    ] = None,
    threads: Threads = None,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Folder to work in; else build/reproduce/RUN.", show_default=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the folder at the end.")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Make a run again from its record, and compare weights and scores.

    A clone of the commit, with the changes that were not committed, and the packages of then, which
    uv installs, train and evaluate in a scratch folder. The answer is equal, equal within rounding,
    or different; then come the facts that differ, the likeliest cause first. Exit code 1 if it is
    different.

    Example: tisdiss reproduce a8bc --here
    """
    from rich.console import Console

    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.display import watching
    from tisdiss.harness.reproduction.reproduce import How
    from tisdiss.harness.reproduction.reproduce import reproduce as make_again
    from tisdiss.machine.extras import need

    need("studies")
    how = How(
        here=here,
        this_code=this_code,
        evaluate_only=evaluate_only,
        chain=chain,
        device=device,
        threads=threads,
        scratch=scratch,
        keep=keep,
    )
    with watching(Console(stderr=True)) as watcher:
        corpora = Corpora(cache=cache, speech=speech)
        result = make_again(runs_dir, run, how, corpora=corpora, say=watcher.say, watch=watcher)
    if as_json:
        print_json("reproduce", reproduce_document(result))
    else:
        _tell(result)
    if result.verdict == "different":
        raise typer.Exit(1)


@app.command()
def gc(
    runs_dir: RunsDir = RUNS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what to delete.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what no plan needs: training states of finished runs, leftovers of killed commands.

    Example: tisdiss gc --dry-run
    """
    from tisdiss.harness.gc import gc as collect

    leftovers = collect(runs_dir, dry_run=dry_run)
    if as_json:
        print_json("gc", gc_document(leftovers, dry_run=dry_run))
    else:
        _show(leftovers, "to delete" if dry_run else "deleted")
    if leftovers.problems:
        raise ValueError("\n".join([*leftovers.problems, "what these refer to was left alone"]))


def _tell(result: Reproduction) -> None:
    from tisdiss.records.identity import short

    typer.echo(f"{short(result.run)} {result.model}: {result.verdict}")
    for agreement in result.agreements:
        typer.echo(f"  {agreement}")
    typer.echo(f"  made with {result.code}; {result.packages}; {result.parent or 'no parent'}")
    for cause in result.causes:
        typer.echo(f"  differs: {cause}")
    if result.verdict == "different" and not result.causes:
        typer.echo("  no recorded fact differs: rounding of parallel sums, or another load")
    if result.scratch:
        typer.echo(f"  everything is in {result.scratch}")


def _show(leftovers: Collected, verb: str) -> None:
    for rubbish in leftovers.rubbish:
        typer.echo(str(rubbish))
    size = sum(rubbish.bytes for rubbish in leftovers.rubbish)
    typer.echo(f"{len(leftovers.rubbish)} {verb}, {size / 1e6:.1f} MB")
