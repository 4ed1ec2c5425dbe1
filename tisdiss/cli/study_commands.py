"""Commands about studies: plan, run, search, time, and the schema of their files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tisdiss.cli.answers import Json, plan_document, print_json
from tisdiss.cli.asked import Asked, with_asked
from tisdiss.cli.bar import progress_bar
from tisdiss.cli.options import (
    Cache,
    Device,
    Engine,
    Force,
    NewReports,
    Profile,
    RunsDir,
    Seconds,
    Speech,
    Studies,
    Threads,
    above_zero,
    new_reports,
)
from tisdiss.limits import MAX_JOBS, MAX_LOOKS, MAX_ROUNDS, MAX_TRIALS
from tisdiss.machine.folders import CACHE, RUNS

app = typer.Typer()

MIN_MINUTES = 1e-4
"""Least time limit of a training; less is a mistake."""


@app.command()
@with_asked
def plan(asked: Asked, as_json: Json = False) -> None:
    """Show the runs that studies need, which are shared, and which are done. Starts no run.

    A run's identity covers its speech, so profile mini fetches its prompts (120 MB) the first time.

    Example: tisdiss plan fig2a fig2e --profile smoke
    """
    from rich.console import Console

    from tisdiss.harness.display import show_plan

    made = asked.plan()
    if as_json:
        print_json("plan", plan_document(made, asked.runs_dir))
    else:
        show_plan(made, asked.runs_dir, Console())


@app.command()
@with_asked
def run(
    asked: Asked,
    jobs: Annotated[
        int, typer.Option(min=1, max=MAX_JOBS, help="Runs at a time, one process each.")
    ] = 1,
    device: Device = "cpu",
    threads: Threads = None,
    max_minutes: Annotated[
        float,
        typer.Option(
            min=MIN_MINUTES,
            help="Stop each training after this time; the next call resumes it.",
            show_default=False,
        ),
    ] = math.inf,
    recompute: Annotated[
        bool | None,
        typer.Option(
            help="Keep a fifteenth of the memory in training, a third slower, with equal "
            "results; by default only if a step would not fit the device otherwise.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Train diverged runs again.")] = False,
    track: Annotated[bool, typer.Option(help="Show runs in MLflow while they go on.")] = True,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_JOBS,
            help="Processes that train each run together, one GPU each (torchrun).",
        ),
    ] = 1,
    engine: Engine = "local",
    engine_file: Annotated[
        Path | None, typer.Option(help="YAML file of the engine's own settings.")
    ] = None,
    slurm: Annotated[
        Path | None, typer.Option(help="Short for --engine slurm --engine-file, of this file.")
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add seeds until claims are decided or futile."),
    ] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            callback=above_zero, help="Stop --until-decided after this time.", show_default=False
        ),
    ] = None,
    max_seeds: Annotated[
        int, typer.Option(min=2, max=MAX_LOOKS, help="Seeds per row, for --until-decided.")
    ] = 10,
) -> None:
    """Train and evaluate what studies need; finished runs are skipped, stopped ones resume.

    Example: tisdiss run fig2e --profile mini

    On a cluster: tisdiss run table3 --device cuda --slurm cluster.yaml, where
    cluster.yaml has lines such as `partition: gpu`, `account: speech`,
    `minutes: 1440`, `memory_gb: 32`, `cpus: 8`, `gpus: 1`, `at_once: 16`.
    Runs that need more time are requeued and resume.

    Seeds as claims need them: tisdiss run fig2e --until-decided --max-hours 8
    tests claims after each seed, at levels that keep the error of all looks together at 5 %, and
    gives up on claims that more seeds would hardly decide. runs/until_decided/ has all looks; the
    same command continues after a stop.
    """
    from rich.console import Console

    from tisdiss.cli.until_decided import check_options, run_until_decided
    from tisdiss.harness.display import outcome_lines, watching
    from tisdiss.harness.engines import ENGINES, Start
    from tisdiss.harness.runner import Runner
    from tisdiss.harness.until_decided import Deadline
    from tisdiss.machine.device import check_device
    from tisdiss.machine.extras import need

    need("studies")
    console = Console()
    chosen = ENGINES["slurm" if slurm else engine]
    check_options(max_hours, until_decided=until_decided, here=chosen.here)
    if chosen.here:
        check_device(device)  # before a corpus is opened
    start = Start(jobs=jobs, processes=processes, track=track, settings=slurm or engine_file)
    made = asked.plan()
    for note in made.notes:
        typer.echo(note, err=True)
    with watching(console) as watcher:
        runner = Runner(
            runs_dir=asked.runs_dir,
            corpora=asked.corpora,
            device=device,
            threads=threads,
            max_seconds=max_minutes * 60,
            recompute=recompute,
            again=again,
            say=watcher.say,
            watch=watcher,
        )
        if max_hours is None:
            outcomes = chosen.launch(made, runner, start)
        else:
            files = dict(zip((each.study for each in made.studies), asked.studies, strict=True))
            outcomes = run_until_decided(
                made,
                runner=runner,
                plan_at=lambda study, seed, rows: replace(
                    asked, studies=[files[study]], seed=[seed], row=list(rows)
                ).plan(),
                launch=lambda plan, runner: chosen.launch(plan, runner, start),
                deadline=Deadline(max_hours),
                max_seeds=max_seeds,
                console=console,
            )
    console.print(", ".join(outcome_lines(outcomes)) or "nothing to run")
    if not set(outcomes.values()) <= {"done", "skipped"}:
        raise typer.Exit(3)


@app.command()
def search(
    files: Annotated[list[str], typer.Argument(help="Search names, as in studies/, or files.")],
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    cache: Cache = CACHE,
    speech: Speech = None,
    trials: Annotated[
        int | None, typer.Option(min=1, max=MAX_TRIALS, help="Total, instead of the file's.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Database URL, for several machines; else a local file.")
    ] = None,
    device: Device = "cpu",
    track: Annotated[bool, typer.Option(help="Show runs in MLflow while they go on.")] = True,
    out: NewReports = None,
    force: Force = False,
) -> None:
    """Search settings with Optuna; resumes where it stopped, and never trains the same run twice.

    Example: tisdiss search search_loss --profile smoke
    """
    from rich.console import Console

    from tisdiss.machine.extras import need

    need("studies")

    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.display import watching
    from tisdiss.harness.runner import Runner
    from tisdiss.harness.search import best
    from tisdiss.harness.search import search as continue_search
    from tisdiss.study.search_file import find_search

    console = Console()
    for spec in [find_search(file) for file in files]:
        with watching(console) as watcher:
            runner = Runner(
                runs_dir=runs_dir,
                corpora=Corpora(cache=cache, speech=speech),
                device=device,
                say=watcher.say,
                watch=watcher,
            )
            results = continue_search(
                spec, profile, runner=runner, storage=storage, trials=trials, track=track
            )
        front = best(results, spec.objectives)
        for trial in results:
            values = ", ".join(f"{value:.4g}" for value in trial.values or ()) or trial.note
            mark = "*" if trial in front else " "
            settings = ", ".join(f"{name}={value}" for name, value in trial.params.items())
            typer.echo(f"{mark} {trial.number:3d} {trial.state:9s} {values:24s} {settings}")
        typer.echo(f"* best in {' and '.join(spec.objectives)}")

        from tisdiss.analysis.search import (
            report_search,  # with matplotlib: only when there are results
        )

        folder = new_reports(profile, out)
        for path in report_search(spec.search, profile, runs_dir, folder, force=force):
            typer.echo(path)


@app.command("time")
def time_models(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = RUNS,
    cache: Cache = CACHE,
    speech: Speech = None,
    device: Device = "cpu",
    threads: Threads = None,
    seconds: Seconds = 2.0,
    rounds: Annotated[
        int, typer.Option(min=1, max=MAX_ROUNDS, help="Passes per model and depth.")
    ] = 3,
) -> None:
    """Time the models of studies at every depth, in turn, on this machine; trains nothing.

    The next report draws quality against these real-time factors.
    Example: tisdiss time fig2e --profile mini --threads 1
    """
    from tisdiss.machine.device import check_device

    check_device(device)
    made = Asked(studies, profile, runs_dir, cache, speech).plan()

    from tisdiss.harness.timing import Timing, time_plan  # with torch: only when there is a plan

    timing = Timing(device=device, threads=threads, seconds=seconds, rounds=rounds)
    with progress_bar("timing") as on_pass:
        paths = time_plan(made, runs_dir, timing, on_pass=on_pass)
    for path in paths:
        typer.echo(path)


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors.

    Example: tisdiss schema > schemas/study.schema.json
    """
    import json

    from tisdiss.study.json_schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))
