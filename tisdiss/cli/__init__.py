"""The `tisdiss` command: parse, call a function of the same name, print. Heavy imports wait."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from tisdiss.cli import data_commands as cli_data
from tisdiss.cli import number_commands as cli_numbers
from tisdiss.cli.bar import Stages, progress_bar, report_stages
from tisdiss.cli.options import SETTINGS, Device, Profile, above_zero, group_options
from tisdiss.limits import (
    MAX_JOBS,
    MAX_MEASURED,
    MAX_PASSES,
    MAX_ROUNDS,
    MAX_THREADS,
    MAX_TRIALS,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    help="Speech separation with a depth dial, and the studies of the TISDiSS paper.\n\n"
    "Separate a file:    tisdiss separate talk.wav -o out\n\n"
    "Reproduce a figure: tisdiss run fig2e --profile mini && tisdiss report fig2e --profile mini",
)

app.add_typer(cli_data.app, name="data")
app.add_typer(cli_numbers.app)

Studies = Annotated[list[str], typer.Argument(help="Study names, as in studies/, or YAML files.")]
RunsDir = Annotated[Path, typer.Option(help="Where run folders are.")]
Cache = Annotated[Path, typer.Option(help="Where decoded and fetched speech is kept.")]
Speech = Annotated[
    Path | None,
    typer.Option(help="Folder of speakers; also read from $SPEECH.", show_default=False),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", min=0, help="Instead of the study's; repeat for several."),
]
Reports = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        "--out",
        help="Folder of reports; else build/reports/, or build/smoke/ at profile smoke.",
        show_default=False,
    ),
]


app.callback()(group_options)

Threads = Annotated[
    int | None, typer.Option(min=1, max=MAX_THREADS, help="Torch threads of each run.")
]
Seconds = Annotated[
    float, typer.Option(max=MAX_MEASURED, callback=above_zero, help="Length of the audio.")
]
MIN_MINUTES = 1e-4
"""A training that may take no time at all is a mistake."""
Rows = Annotated[list[str] | None, typer.Option("--row", help="Only these rows; repeatable.")]


@app.command()
def plan(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    cache: Cache = Path("cache"),
    speech: Speech = None,
    seed: Seeds = None,
    row: Rows = None,
) -> None:
    """Show which runs studies need, what they share, and what is done. Starts nothing.

    Example: tisdiss plan fig2a fig2e --profile smoke
    """
    from rich.console import Console

    from tisdiss.harness.display import show_plan

    made = _plan(studies, profile, runs_dir, cache, speech, seed, row)
    show_plan(made, runs_dir, Console())


@app.command()
def run(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    cache: Cache = Path("cache"),
    speech: Speech = None,
    seed: Seeds = None,
    row: Rows = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=MAX_JOBS, help="Runs at a time, a process each.")
    ] = 1,
    device: Device = "cpu",
    threads: Threads = None,
    max_minutes: Annotated[
        float,
        typer.Option(
            min=MIN_MINUTES,
            help="Stop each training after so long; the next call resumes it.",
            show_default=False,
        ),
    ] = math.inf,
    recompute: Annotated[
        bool | None,
        typer.Option(
            help="Keep a fifteenth of the memory in training, a third slower, with equal "
            "results; by default where a step would else not fit the device.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Train diverged runs anew.")] = False,
    track: Annotated[bool, typer.Option(help="Show finished runs in MLflow.")] = True,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_JOBS,
            help="Processes that train each run together, a GPU each (torchrun).",
        ),
    ] = 1,
    engine: Annotated[
        Literal["local", "slurm"], typer.Option(help="Processes of this machine, or Slurm jobs.")
    ] = "local",
    slurm: Annotated[
        Path | None,
        typer.Option(help="Slurm jobs with the partition, account and limits of this YAML file."),
    ] = None,
) -> None:
    """Train and evaluate what studies need; finished runs are skipped, stopped ones resume.

    Example: tisdiss run fig2e --profile mini

    On a cluster: tisdiss run table3 --device cuda --slurm cluster.yaml, where
    cluster.yaml has lines such as `partition: gpu`, `account: speech`,
    `minutes: 1440`, `memory_gb: 32`, `cpus: 8`, `gpus: 1`, `at_once: 16`.
    Runs that need more time are requeued and resume.
    """
    from rich.console import Console

    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.display import outcome_lines, watching
    from tisdiss.harness.launch import launch
    from tisdiss.harness.run import Runner
    from tisdiss.machine.device import check_device

    console = Console()
    if engine == "local" and slurm is None:
        check_device(device)  # before a corpus is opened
    planned = _plan(studies, profile, runs_dir, cache, speech, seed, row)
    for note in planned.notes:
        typer.echo(note, err=True)
    with watching(console) as watcher:
        runner = Runner(
            runs_dir=runs_dir,
            corpora=Corpora(cache=cache, speech=speech),
            device=device,
            threads=threads,
            max_seconds=max_minutes * 60,
            recompute=recompute,
            again=again,
            say=watcher.say,
            watch=watcher,
        )
        if engine == "local" and slurm is None:
            outcomes = launch(planned, runner=runner, jobs=jobs, processes=processes, track=track)
        else:
            from tisdiss.harness.slurm import launch_on_slurm
            from tisdiss.harness.slurm_jobs import SlurmSettings, load_settings

            outcomes = launch_on_slurm(
                planned,
                runner=runner,
                settings=load_settings(slurm) if slurm else SlurmSettings(),
                processes=processes,
                track=track,
            )
    console.print(", ".join(outcome_lines(outcomes)) or "nothing to run")
    if not set(outcomes.values()) <= {"done", "skipped"}:
        raise typer.Exit(3)


@app.command()
def search(
    files: Annotated[list[str], typer.Argument(help="Search names, as in studies/, or files.")],
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    cache: Cache = Path("cache"),
    speech: Speech = None,
    trials: Annotated[
        int | None, typer.Option(min=1, max=MAX_TRIALS, help="Instead of the file's number.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Database URL, for many machines; else a file in the runs.")
    ] = None,
    device: Device = "cpu",
    track: Annotated[bool, typer.Option(help="Show finished runs in MLflow.")] = True,
    out: Reports = None,
    force: cli_numbers.Force = False,
) -> None:
    """Search settings with Optuna; goes on where it stopped, and never trains the same run twice.

    Example: tisdiss search search_loss --profile smoke
    """
    from rich.console import Console

    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.display import watching
    from tisdiss.harness.run import Runner
    from tisdiss.harness.search import best
    from tisdiss.harness.search import search as go_on
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
            results = go_on(
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

        folder = _reports(profile, out)
        for path in report_search(spec.search, profile, runs_dir, folder, force=force):
            typer.echo(path)


@app.command()
def status(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Only these studies.", show_default=False)
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Draw it again every few seconds.")
    ] = False,
) -> None:
    """Show every planned row and how far its runs are.

    Example: tisdiss status fig2a --watch
    """
    from rich.console import Console

    from tisdiss.harness.display import status as status_of
    from tisdiss.harness.watch import watch_status

    names = [Path(study).stem for study in studies or ()]
    if watch:
        watch_status(runs_dir, Console(), names)
    else:
        Console().print(status_of(runs_dir, names))


@app.command("time")
def time_models(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    cache: Cache = Path("cache"),
    speech: Speech = None,
    device: Device = "cpu",
    threads: Threads = None,
    seconds: Seconds = 2.0,
    rounds: Annotated[
        int, typer.Option(min=1, max=MAX_ROUNDS, help="Passes of every model and depth.")
    ] = 3,
) -> None:
    """Time the models of studies at every depth, in turn, on this machine; trains nothing.

    The next report draws quality against the real-time factors found here.
    Example: tisdiss time fig2e --profile mini --threads 1
    """
    from tisdiss.machine.device import check_device

    check_device(device)
    made = _plan(studies, profile, runs_dir, cache, speech, None, None)

    from tisdiss.harness.timing import Timing, time_plan  # with torch: only when there is a plan

    timing = Timing(device=device, threads=threads, seconds=seconds, rounds=rounds)
    with progress_bar("timing") as on_pass:
        paths = time_plan(made, runs_dir, timing, on_pass=on_pass)
    for path in paths:
        typer.echo(path)


@app.command()
def report(
    studies: Studies,
    profile: Profile = "mini",
    runs_dir: RunsDir = Path("runs"),
    out: Reports = None,
    notebook: Annotated[bool, typer.Option(help="Add an executed notebook (some seconds).")] = True,
    force: cli_numbers.Force = False,
) -> None:
    """Write figure, tables, scores and provenance of studies that were run.

    Of a folder that holds your files, too, only those of an earlier report are replaced.

    Example: tisdiss report fig2e --profile mini
    """
    from tisdiss.analysis.places import check_planned

    folder = _reports(profile, out)
    names = [Path(name).stem for name in studies]
    for study, name in zip(names, studies, strict=True):
        if study.startswith("search_"):
            raise ValueError(f"{name} is a search, not a study; `tisdiss search {name}` reports it")
        check_planned(runs_dir, study, profile)
    say = Stages(report_stages(len(names), notebook=notebook))

    from tisdiss.analysis.report import report as write_report  # with pandas and matplotlib

    for study in names:
        *written, index = write_report(
            study,
            profile,
            runs_dir,
            folder,
            notebook=notebook,
            force=force,
            say=say,
            warn=cli_numbers.warn,
        )
        cli_numbers.show_written(written)
        typer.echo(f"{index}: all studies")


@app.command()
def sync(
    runs_dir: RunsDir = Path("runs"),
    uri: Annotated[
        str | None, typer.Option(help="MLflow store; else $MLFLOW_TRACKING_URI, else mlflow.db.")
    ] = None,
) -> None:
    """Bring MLflow up to date with the run folders; safe to repeat.

    Example: tisdiss sync --uri http://127.0.0.1:5000
    """
    from tisdiss.harness.tracking import sync as sync_runs

    typer.echo(sync_runs(runs_dir, uri))


@app.command()
def ui(
    study: Annotated[str | None, typer.Argument(help="Print the link to this study's charts.")] = (
        None
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Bring MLflow up to date and serve its pages on this machine, with links to charts.

    Runs that go on while it serves are brought up to date, too.

    Example: tisdiss ui fig2e
    """
    from tisdiss.harness.tracking import shown_studies, ui_links
    from tisdiss.harness.tracking import sync as sync_runs
    from tisdiss.harness.ui import check_port
    from tisdiss.harness.ui import ui as serve
    from tisdiss.records.files import DamagedError
    from tisdiss.study.load import find_studies

    shown = shown_studies(runs_dir)
    unknown = [study] if study and study not in shown else []
    asked = [each.study for each in find_studies(unknown)] or ([study] if study else shown)
    check_port(port, runs_dir=runs_dir)
    try:
        typer.echo(sync_runs(runs_dir))
    except DamagedError as error:  # the other runs are there
        typer.secho(f"error: {error}", fg="red", err=True)
    for found in ui_links(asked, port, runs_dir=runs_dir):
        typer.echo(f"{found.study} charts: {found.charts}")
        typer.echo(f"{found.study} table:  {found.table}")
    raise typer.Exit(serve(port, runs_dir=runs_dir))


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(help="Sound files: WAV, FLAC, OGG, MP3.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the speakers' files.")
    ] = Path("separated"),
    n_re: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_PASSES,
            help="Depth: how often the reconstructor runs, the trained depth by default. With "
            "--settled or --within: at most so often.",
        ),
    ] = None,
    settled: Annotated[
        float | None,
        typer.Option(
            callback=above_zero,
            help="Adaptive: stop when a pass changes the estimates by so many dB less than they "
            "are loud, such as 30.",
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            callback=above_zero,
            help="Anytime: stop before the passes over a file take longer than so many seconds.",
        ),
    ] = None,
    peak: Annotated[
        bool, typer.Option("--peak", help="Each speaker's file with its peak at 0.9 of full scale.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there; never an input.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="A model.safetensors; else the shipped base model.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Separate sound files into one file per speaker; goes on after a file that cannot be read.

    Each speaker is as loud as in the recording. Files that are there already are not replaced.

    Example: tisdiss separate talk.wav -o out, or quicker: -o fast --n-re 1
    """
    from tisdiss.shipped import base_model
    from tisdiss.sound.outputs import check_folder, check_sources, check_targets, check_weights

    check_sources(files)
    check_folder(out)
    check_targets(files, out, 1, force=force)
    weights = model or base_model()
    check_weights(weights)
    sounds = [file for file in files if _opens(file)]
    failed = len(files) - len(sounds)
    if not sounds:
        _end_with(failed, len(files))

    from tisdiss.checkpoint import load_model
    from tisdiss.dial import Dial
    from tisdiss.separate import rate_note, separate_file, warm_up

    dial = Dial(n_re=n_re, settled_db=settled, seconds=within)
    separator = load_model(weights, device)
    dial.check(separator.config)
    check_targets(files, out, separator.config.n_src, force=force)
    if within is not None:
        warm_up(separator)
    for number, file in enumerate(sounds, start=1):
        with progress_bar(f"{number}/{len(sounds)} {file.name}") as on_part:
            try:
                done = separate_file(separator, file, out, dial, on_part, peak=peak, force=force)
            except (ValueError, OSError) as error:
                failed += 1
                typer.secho(f"error: {error}", fg="red", err=True)
                continue
        late = within is not None and done.took > within
        typer.echo(
            f"{file} ({done.seconds:.1f} s) at N_re = {done.n_re} in {done.took:.1f} s"
            + (f", over the {within:g} s of --within" if late else "")
            + (f", lowered by {done.lowered_db:.1f} dB so that nothing clips:"
               if done.lowered_db else ":")
        )  # fmt: skip
        for path in done.files:
            typer.echo(f"  {path}")
        if note := rate_note(done.rate, separator):
            typer.echo(f"  {note}")
    if failed:
        _end_with(failed, len(files))


@app.command()
def profile(
    model: Annotated[str, typer.Argument(help="A paper name, or a model.safetensors.")],
    seconds: Seconds = 4.0,
    device: Device = "cpu",
) -> None:
    """Count parameters and MACs, measure speed and memory of a model on this machine.

    Example: tisdiss profile sep1x2-re1x3-l1+3 --seconds 1
    """
    from tisdiss.config import ModelConfig
    from tisdiss.sound.outputs import check_weights, is_weights

    if is_weights(model):
        check_weights(Path(model))
    else:
        ModelConfig.from_name(model)

    from tisdiss.cost.measured import (
        profile as measure,  # with torch: only for a model that there is
    )

    found = measure(model, seconds=seconds, device=device)
    typer.echo(f"{found.name}: {found.parameters:,} parameters")
    for part, macs in found.macs_by_part.items():
        typer.echo(f"  {part:<14} {macs / 1e9:9.2f} GMAC")
    typer.echo(f"  {'all':<14} {found.macs / 1e9:9.2f} GMAC for {found.seconds:g} s")
    for n_re, macs in found.macs_by_n_re.items():
        typer.echo(f"  at N_re = {n_re:<4} {macs / 1e9:9.2f} GMAC")
    typer.echo("  (plans and figures count a second out of 4, and taps on padding, too)")
    typer.echo(f"  real-time factor {found.real_time_factor:.2f} ({found.threads} threads of "
               f"{found.device}), peak memory {found.peak_memory / 2**20:.0f} MiB")  # fmt: skip


@app.command()
def gc(
    runs_dir: RunsDir = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
) -> None:
    """Delete what no plan needs any more: training states of finished runs, leftovers of kills.

    Example: tisdiss gc --dry-run
    """
    from tisdiss.harness.gc import gc as collect

    found = collect(runs_dir, dry_run=dry_run)
    for rubbish in found.rubbish:
        typer.echo(str(rubbish))
    verb = "would go" if dry_run else "deleted"
    typer.echo(f"{len(found.rubbish)} {verb}, {sum(r.bytes for r in found.rubbish) / 1e6:.1f} MB")
    if found.problems:
        raise ValueError("\n".join([*found.problems, "what these tell of was left alone"]))


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors.

    Example: tisdiss schema > schemas/study.schema.json
    """
    import json

    from tisdiss.study.json_schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))


def _opens(file: Path) -> bool:
    """Whether a file begins like sound; told if not, before the seconds that torch takes."""
    from tisdiss.sound.decode import named

    try:
        with named(file):
            return True
    except ValueError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        return False


def _end_with(failed: int, files: int) -> NoReturn:
    if files > 1:
        typer.secho(f"{failed} of {files} files could not be separated", fg="red", err=True)
    raise typer.Exit(2)


def _reports(profile: str, given: Path | None) -> Path:
    ours = cli_numbers.SMOKE_REPORTS if profile == "smoke" else cli_numbers.REPORTS
    return given or ours


def _plan(studies, profile, runs_dir, cache, speech, seed, row):  # type: ignore[no-untyped-def]
    from rich.console import Console

    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.plan import plan as make_plan
    from tisdiss.study.load import find_studies

    found = find_studies(studies)
    with Console(stderr=True).status("opening the corpora (their sounds are decoded once)"):
        return make_plan(
            found,
            profile,
            runs_dir=runs_dir,
            corpora=Corpora(cache=cache, speech=speech),
            seeds=seed or None,
            rows=row or None,
        )


def _told(error: Exception) -> str:
    """An error in our words, also where pydantic found it."""
    pydantic = sys.modules.get("pydantic")  # where it is not loaded, it has found nothing
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return str(error)
    from tisdiss.records.problems import sentences

    return "\n".join(sentences(error))


def main() -> None:
    """Run the command; an expected mistake is a message and exit code 2, never a traceback."""
    from tisdiss.machine.surroundings import settle

    settle()
    try:
        app()
    except (ValueError, OSError) as error:
        typer.secho(f"error: {_told(error)}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("stopped; the same command goes on from here", err=True)
        sys.exit(130)
