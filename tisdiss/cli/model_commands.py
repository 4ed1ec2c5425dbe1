"""Commands that use a model: separate sound files, measure its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tisdiss.cli.answers import Json, print_json, profile_document
from tisdiss.cli.options import AnyWeights, Device, Recipe, Seconds, above_zero
from tisdiss.limits import MAX_CHANNELS, MAX_PASSES

app = typer.Typer()


@app.command()
def separate(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Sound files: WAV, FLAC, OGG, MP3 and, if ffmpeg is installed, m4a, video and "
            "more. A folder stands for all in it and below. - is standard input. A name that "
            "starts with a dash goes after --."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the speakers' files; - writes one WAV with a channel per speaker to "
            "standard output.",
        ),
    ] = Path("separated"),
    n_re: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_PASSES,
            help="Depth: how often the reconstructor runs, the trained depth by default. With "
            "--settled, --within or --budget: the largest depth, 10 by default.",
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
    budget: Annotated[
        float | None,
        typer.Option(
            callback=above_zero,
            help="Seconds of computing per second of sound: the deepest N_re that the first minute "
            "affords, for all of a file.",
        ),
    ] = None,
    speakers: Annotated[
        Literal["all", "auto"],
        typer.Option(
            help="auto mutes a speaker who is silent, leaves a lone speaker as recorded and writes "
            "no file for one who is absent. With the shipped model it took 5 of 19 recordings of "
            "one voice for two voices.",
        ),
    ] = "all",
    channel: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_CHANNELS,
            help="The channel to separate; by default the mean of all channels.",
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
    model: AnyWeights = "base",
    config: Recipe = None,
    device: Device = "cpu",
) -> None:
    """Separate sound files into one file per speaker; continues after a file that cannot be read.

    A file that does not exist is an error before the first is separated. Each speaker is as loud
    as in the recording. Existing files are not replaced. A model separates a fixed number of
    speakers, two for the shipped one. It cannot tell that there are more: then some outputs contain
    several voices.

    Example: tisdiss separate talk.wav -o out, or quicker: -o fast --n-re 1
    """
    from tisdiss.cli.separating import Job, with_sources
    from tisdiss.machine.termination import termination_as_exit
    from tisdiss.shipped import recipe_of, weights_of

    if budget is not None and (within is not None or settled is not None):
        raise ValueError("--budget fixes the depth: leave out --within and --settled")
    with termination_as_exit(), with_sources(files, out) as sources:
        job = Job(sources, out, force=force)
        weights = weights_of(model)
        recipe_of(weights, config)  # raises if a file is missing, before torch is loaded
        job.keep_those_that_open()

        from tisdiss.dial import Dial
        from tisdiss.recordings import Wishes
        from tisdiss.separate import warm_up
        from tisdiss.speech_separator import load

        dial = Dial(n_re=n_re, n_sep=n_sep, settled_db=settled, seconds=within, budget=budget)
        separator = load(weights, config=config, device=device).model
        dial.check(separator.config)
        job.check_targets(separator.config.n_src)
        if within is not None or budget is not None:
            warm_up(separator)
        find = speakers == "auto"
        job.separate(separator, Wishes(dial=dial, channel=channel, peak=peak, find_speakers=find))


@app.command()
def profile(
    model: Annotated[str, typer.Argument(help="A paper name, or a model.safetensors.")],
    seconds: Seconds = 4.0,
    device: Device = "cpu",
    as_json: Json = False,
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
    if as_json:
        print_json("profile", profile_document(cost))
        return
    typer.echo(f"{cost.name}: {cost.parameters:,} parameters")
    for part, macs in cost.macs_by_part.items():
        typer.echo(f"  {part:<14} {macs / 1e9:9.2f} GMAC")
    typer.echo(f"  {'all':<14} {cost.macs / 1e9:9.2f} GMAC for {cost.seconds:g} s")
    for n_re, macs in cost.macs_by_n_re.items():
        typer.echo(f"  at N_re = {n_re:<4} {macs / 1e9:9.2f} GMAC")
    typer.echo("  (plans and figures give MACs per second and also count taps on padding)")
    typer.echo(f"  real-time factor {cost.real_time_factor:.2f} ({cost.threads} threads of "
               f"{cost.device}), peak memory {cost.peak_memory / 2**20:.0f} MiB")  # fmt: skip
