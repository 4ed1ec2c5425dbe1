"""Commands that use a model: separate sound files, measure its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tisdiss.cli.bar import progress_bar
from tisdiss.cli.options import Device, Seconds, above_zero
from tisdiss.limits import MAX_PASSES

app = typer.Typer()


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
            "--settled or --within: the largest depth.",
        ),
    ] = None,
    settled: Annotated[
        float | None,
        typer.Option(
            callback=above_zero,
            help="Adaptive: stop when the change by a pass is this many dB below the estimates, "
            "such as 30.",
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            callback=above_zero,
            help="Anytime: stop before the passes over a file take longer than this many seconds.",
        ),
    ] = None,
    peak: Annotated[
        bool, typer.Option("--peak", help="Scale each speaker's file to peak at 0.9 of full scale.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing files; never an input.")
    ] = False,
    n_sep: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_PASSES,
            help="Passes through the separator; as trained by default.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="base (shipped), a .safetensors, the first digits of a run, or a released .pth."
        ),
    ] = "base",
    config: Annotated[
        Path | None, typer.Option(help="config.yaml of a released .pth; else the one beside it.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Separate sound files into one file per speaker; continues after a file that cannot be read.

    Each speaker is as loud as in the recording. Existing files are not replaced.

    Example: tisdiss separate talk.wav -o out, or quicker: -o fast --n-re 1
    """
    from tisdiss.shipped import recipe_of, weights_of
    from tisdiss.sound.outputs import check_folder, check_sources, check_targets

    check_sources(files)
    check_folder(out)
    check_targets(files, out, 1, force=force)
    recipe_of(weights_of(model), config)  # raises if a file is missing, before torch is loaded
    sounds = [file for file in files if _opens(file)]
    failed = len(files) - len(sounds)
    if not sounds:
        _end_with(failed, len(files))

    from tisdiss.dial import Dial
    from tisdiss.separate import rate_note, separate_file, warm_up
    from tisdiss.speech_separator import load

    dial = Dial(n_re=n_re, n_sep=n_sep, settled_db=settled, seconds=within)
    separator = load(model, config=config, device=device).model
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
            + (f", lowered by {done.lowered_db:.1f} dB to prevent clipping:"
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
    """Count parameters and MACs, and measure speed and memory of a model on this machine.

    Example: tisdiss profile sep1x2-re1x3-l1+3 --seconds 1
    """
    from tisdiss.config import named
    from tisdiss.shipped import check_weights, is_weights

    if is_weights(model):
        check_weights(Path(model))
    else:
        named(model)

    from tisdiss.cost.measured import (
        profile as measure,  # with torch: only for a model that there is
    )

    cost = measure(model, seconds=seconds, device=device)
    typer.echo(f"{cost.name}: {cost.parameters:,} parameters")
    for part, macs in cost.macs_by_part.items():
        typer.echo(f"  {part:<14} {macs / 1e9:9.2f} GMAC")
    typer.echo(f"  {'all':<14} {cost.macs / 1e9:9.2f} GMAC for {cost.seconds:g} s")
    for n_re, macs in cost.macs_by_n_re.items():
        typer.echo(f"  at N_re = {n_re:<4} {macs / 1e9:9.2f} GMAC")
    typer.echo("  (plans and figures give MACs per second and also count taps on padding)")
    typer.echo(f"  real-time factor {cost.real_time_factor:.2f} ({cost.threads} threads of "
               f"{cost.device}), peak memory {cost.peak_memory / 2**20:.0f} MiB")  # fmt: skip


def _opens(file: Path) -> bool:
    """Whether a file opens as sound; prints an error if not, before torch is loaded."""
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
