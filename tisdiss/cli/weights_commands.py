"""Commands about weights: import released ones, score given ones, export ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tisdiss.cli.answers import Json, evaluate_document, print_json
from tisdiss.cli.options import (
    WEIGHTS_HELP,
    Cache,
    Device,
    Recipe,
    RunsDir,
    Speech,
    Threads,
    known_profile,
)
from tisdiss.limits import MAX_COUNT
from tisdiss.machine.extras import need, need_modules
from tisdiss.machine.folders import CACHE, RUNS
from tisdiss.speech_sources import SOURCES

app = typer.Typer()

Model = Annotated[str, typer.Argument(help=WEIGHTS_HELP)]


@app.command("import")
def import_weights(
    checkpoint: Annotated[
        Path, typer.Argument(help="Released checkpoint, or one of yours: .pth, .ckpt, .bin.")
    ],
    config: Recipe = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Model file; else named like the checkpoint, here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model file.")] = False,
) -> None:
    """Convert a released checkpoint into a model file with its settings; executes nothing in it.

    Checkpoints of TISDiSS, TF-Locoformer, TF-GridNet, FLA-TFLocoformer and SepReformer are read,
    also as saved by Lightning, DataParallel or torch.compile. A row of a study scores the file:
    {id: authors, weights: model.safetensors}.

    Example: tisdiss import valid.loss.ave_5best.pth --config config.yaml -o authors.safetensors
    """
    target = out or Path(f"{checkpoint.stem}.safetensors")
    recipe = _recipe(checkpoint, config)
    _check_new(target, force=force, inputs=(checkpoint, recipe))
    if target.suffix != ".safetensors":
        raise ValueError(f"{target}: a model file ends in .safetensors")

    from tisdiss.convert import import_released  # with torch: only for files that there are

    converted = import_released(checkpoint, recipe, target)
    if converted.note:
        typer.echo(f"note: {converted.note}")
    size = sum(parameter.numel() for parameter in converted.model.parameters())
    typer.echo(f"{target}: {converted.model.config.name}, {size:,} parameters")


@app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            help="base (shipped), a .safetensors, the first digits of a run, or an address in "
            "MLflow."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Checkpoint of the released code (.pth); config.yaml beside it."
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(help="Folder for ONNX graphs and a runner that needs no torch."),
    ] = None,
    runs_dir: RunsDir = RUNS,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a model for other programs: in the released code's format, or as ONNX graphs.

    A .pth has the released names and settings; `tisdiss import` gives back the same weights, bit
    for bit. The ONNX graphs keep N_re as an argument: python FOLDER/runner.py talk.wav out --n-re 6
    separates at any N_re, with numpy and onnxruntime alone.

    Example: tisdiss export base --onnx exported
    """
    from tisdiss.shipped import weights_of

    if (out is None) == (onnx is None):
        raise ValueError("give either a checkpoint (-o FILE.pth) or a folder (--onnx FOLDER)")
    weights = weights_of(model, runs_dir)
    for target in [out, out.parent / "config.yaml"] if out else []:
        _check_new(target, force=force, inputs=(weights,))
    if onnx is not None:
        _check_export(onnx, force=force)

    from tisdiss.checkpoint import load_model  # with torch: only after the checks
    from tisdiss.convert import export_released
    from tisdiss.model import TISDiSS

    if out is not None:
        paths = export_released(weights, out)
    else:
        from tisdiss.onnx_export.export import export_onnx

        assert onnx is not None
        net = load_model(weights)
        if not isinstance(net, TISDiSS):
            raise ValueError(f"{weights}: {net.config.name} has no ONNX export")
        paths = export_onnx(net, onnx)
    for path in paths:
        typer.echo(path)


@app.command()
def evaluate(
    model: Model,
    corpus: Annotated[str, typer.Argument(help=f"{', '.join(SOURCES)}.")],
    n_re: Annotated[
        str, typer.Option(help="Depths to score, such as 3, 1..10 or 1,3,6.")
    ] = "1..10",
    n_sep: Annotated[
        str | None,
        typer.Option(
            help="Numbers of separator passes to score (1,2): a row each. Default: as trained."
        ),
    ] = None,
    config: Recipe = None,
    profile: Annotated[
        str | None,
        typer.Option(
            callback=lambda name: name if name is None else known_profile(name),
            help="Whose mixtures to score: lengths and number. By default paper for a corpus of "
            "stored mixtures, which is then scored whole, and mini for others.",
            show_default=False,
        ),
    ] = None,
    mixtures: Annotated[
        int | None, typer.Option(min=1, max=MAX_COUNT, help="Score at most so many mixtures.")
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(help="Further scores: pesq, stoi, estoi, dnsmos (extra quality)."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the report; by default the model's file and the corpus."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Of the model in tables and figures.")] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="study/row, such as table1/re1x6: the report has this row's label, depths and "
            "paper values, the study's quoted rows, and its claims about them.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS,
    cache: Cache = CACHE,
    speech: Speech = None,
    device: Device = "cpu",
    threads: Threads = None,
    track: Annotated[bool, typer.Option(help="Show the scores in MLflow.")] = True,
    as_json: Json = False,
) -> None:
    """Score any model on a corpus, as a trained run is scored; what is done is not done again.

    The weights become a run folder, so that `report`, `why`, `diff`, `sync` and `separate` know
    them. The corpus is in $WSJ0_2MIX and so on, or in --speech. A stopped evaluation continues with
    the same command.

    Example: tisdiss evaluate authors.safetensors wsj0-2mix --as table1/re1x6
    """
    from rich.console import Console

    from tisdiss.analysis.results import results_of
    from tisdiss.cli.score_table import score_table
    from tisdiss.harness.corpora import Corpora
    from tisdiss.harness.display import outcome_lines, watching
    from tisdiss.harness.planner import plan
    from tisdiss.harness.run import run
    from tisdiss.harness.runner import Runner
    from tisdiss.harness.scoring import Asked, check_run, parsed_depths, scoring
    from tisdiss.machine.device import check_device

    depths = parsed_depths(n_re)
    passes = parsed_depths(n_sep) if n_sep else ()
    check_device(device)
    asked = Asked(
        file=_ours(model, config, runs_dir, cache),
        corpus=corpus,
        profile=profile,
        mixtures=mixtures,
        n_re=depths,
        n_sep=passes,
        quality=tuple(quality.split(",")) if quality else (),
        name=name,
        label=label,
        like=like,
    )
    study = scoring(asked)
    check_run(asked.weights, runs_dir)
    corpora, console = Corpora(cache=cache, speech=speech), Console(stderr=as_json)
    made = plan([study], asked.size, runs_dir=runs_dir, corpora=corpora)
    need_modules(made.packages)
    for note in made.notes:
        typer.echo(note, err=True)
    with watching(console) as watcher:
        runner = Runner(
            runs_dir=runs_dir,
            corpora=corpora,
            device=device,
            threads=threads,
            say=watcher.say,
            watch=watcher,
        )
        outcomes = run(made, runner=runner, track=track)
    console.print(", ".join(outcome_lines(outcomes)))
    if not set(outcomes.values()) <= {"done", "skipped"}:
        raise typer.Exit(3)
    results = results_of(study.study, asked.size, runs_dir)
    if as_json:
        print_json("evaluate", evaluate_document(results))
        return
    console.print(score_table(results.curves))
    typer.echo(f"tables and figures: tisdiss report {study.study} --profile {asked.size}")


def _ours(model: str, config: Path | None, runs_dir: Path, cache: Path) -> str:
    """A model as a file of ours; a released checkpoint is converted into the cache.

    A path is from the folder where the command is called; in a study it would be from the project.
    """
    from tisdiss.shipped import BASE, recipe_of, weights_of

    weights = weights_of(model, runs_dir).absolute()
    recipe = recipe_of(weights, config)
    if recipe is None:
        return str(BASE if model == "base" else weights)

    from tisdiss.convert import import_by_identity

    out, note = import_by_identity(weights, recipe, cache.absolute() / "imported")
    if note:
        typer.echo(f"note: {note}", err=True)
    return str(out)


def _recipe(checkpoint: Path, config: Path | None) -> Path:
    """The config.yaml of a checkpoint; ValueError if one of both is missing."""
    from tisdiss.shipped import recipe_of

    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint}: no such checkpoint")
    recipe = recipe_of(checkpoint, config)
    if recipe is None:
        raise ValueError(
            f"{checkpoint}: no suffix of a released checkpoint; name its config.yaml (--config)"
        )
    return recipe


def _check_export(folder: Path, *, force: bool) -> None:
    """Raise ValueError without the extra `export`, or for a folder that holds something."""
    need("export")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder (--onnx)")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise ValueError(
            f"{folder} is not empty; name another folder (--onnx), or replace its files with "
            "--force"
        )


def _check_new(target: Path, *, force: bool, inputs: tuple[Path, ...]) -> None:
    """Raise ValueError if writing would replace an input, or another file without `force`."""
    if target.resolve() in [path.resolve() for path in inputs]:
        raise ValueError(f"{target} is an input; choose another file (-o)")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; name a file in it (-o)")
    if target.exists() and not force:
        raise ValueError(f"{target} exists; choose another file (-o), or replace it with --force")
