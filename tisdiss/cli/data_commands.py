"""`tisdiss data ...`: builds, checks, describes and fetches corpora."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tisdiss.cli.answers import Json, check_document, print_json, stats_document
from tisdiss.cli.bar import progress_bar
from tisdiss.cli.options import SETTINGS, group_options
from tisdiss.limits import MAX_COUNT, MAX_JOBS, MAX_RATE, MIN_RATE
from tisdiss.machine.folders import CACHE
from tisdiss.speech_sources import SOURCES

if TYPE_CHECKING:
    from tisdiss.config import DataConfig
    from tisdiss.data import Source
    from tisdiss.machine.progress import Progress

app = typer.Typer(
    no_args_is_help=True,
    context_settings=SETTINGS,
    help="Prepare, check, describe and download corpora.\n\n"
    "Is a folder fit to train on?  tisdiss data check folder /path/to/speakers\n\n"
    "What does it hold?            tisdiss data stats folder /path/to/speakers",
)

app.callback()(group_options)

WSJ0 = "wsj0"
"""The recordings that WSJ0-2mix is made of: checked, but no source of a training."""
MIXTURES = ", ".join(name for name, entry in SOURCES.own.items() if entry.stored)
SPEECH = ", ".join(name for name, entry in SOURCES.own.items() if not entry.stored)
VARIABLES = ", ".join(f"${entry.variable}" for entry in SOURCES.own.values() if entry.variable)

Corpus = Annotated[str, typer.Argument(help=f"Mixtures: {MIXTURES}. Speech: {SPEECH}.")]
Root = Annotated[Path | None, typer.Argument(help=f"Where it lies; else one of {VARIABLES}.")]
Lists = Annotated[Path | None, typer.Option(help="Folder of the official lists.")]
Condition = Annotated[
    str | None, typer.Option(help="clean, noisy, reverberant or noisy-reverberant.")
]
Rate = Annotated[int, typer.Option(min=MIN_RATE, max=MAX_RATE, help="Hz.")]
Speakers = Annotated[int, typer.Option("--n-src", min=2, max=8, help="Speakers of a mixture.")]
Mixtures = Annotated[
    int, typer.Option(min=0, max=MAX_COUNT, help="Mixtures of each part to measure; 0: all.")
]
Cache = Annotated[Path, typer.Option(help="Where decoded and fetched speech is kept.")]


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="wsj0-2mix or libri2mix.")],
    root: Annotated[Path, typer.Argument(help="Folder of WSJ0 or LibriSpeech.")],
    out: Annotated[Path, typer.Argument(help="Folder for the mixtures.")],
    lists: Annotated[Path, typer.Option(help="Folder of the official lists.")],
    noise: Annotated[Path | None, typer.Option(help="Folder of WHAM noise, if noisy.")] = None,
    condition: Annotated[str | None, typer.Option(help="clean or noisy.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="Only these parts; repeatable.")] = None,
    sample_rate: Rate = 8000,
    mode: Annotated[
        Literal["min", "max"], typer.Option(help="Cut to the shortest, or pad.")
    ] = "min",
    n_src: Speakers = 2,
    workers: Annotated[int, typer.Option(min=1, max=MAX_JOBS, help="Mixtures made at a time.")] = 2,
) -> None:
    """Build a corpus from its speech with the official lists; a rerun continues.

    Example: tisdiss data prepare wsj0-2mix /corpora/wsj0 /corpora/2mix --lists metadata/wsj0-mix
    """
    from tisdiss.data.build.prepare import prepare as make

    with progress_bar("mixtures") as on_progress:
        done = make(
            corpus,
            root,
            out,
            lists=lists,
            noise=noise,
            condition=condition,
            parts=tuple(part) if part else None,
            sample_rate=sample_rate,
            mode=mode,
            n_src=n_src,
            workers=workers,
            on_progress=on_progress,
        )
    typer.echo(f"{done.folder}: {done.made} mixtures made, {done.present} were there already")


@app.command()
def check(
    corpus: Annotated[
        str,
        typer.Argument(help=f"Mixtures: {MIXTURES}. Speech: {SPEECH}, {WSJ0}."),
    ],
    root: Root = None,
    lists: Lists = None,
    condition: Condition = None,
    sample_rate: Rate = 8000,
    n_src: Speakers = 2,
    mixtures: Mixtures = 100,
    cache: Cache = CACHE,
    as_json: Json = False,
) -> None:
    """Check a corpus: counts, rates, sums, levels, overlaps. Exit code 1 on FAIL.

    wsj0 is the speech that WSJ0-2mix is made from; it is checked against --lists.

    Example: tisdiss data check wsj0-2mix /corpora/2speakers
    """
    _check_name(corpus, (*SOURCES, WSJ0))

    from tisdiss.data.check.doctor import check as check_mixtures
    from tisdiss.data.check.finding import failed, summary
    from tisdiss.data.check.speech import check_source, check_wsj0

    with progress_bar("files") as on_progress:
        if corpus == WSJ0:
            if root is None or lists is None:
                raise ValueError("wsj0: name its folder, and that of the official lists (--lists)")
            findings = check_wsj0(root, lists, on_progress=on_progress)
        elif not SOURCES[corpus].stored:
            source = _source(corpus, root, sample_rate, cache, on_progress)
            findings = check_source(source)
        else:
            findings = check_mixtures(
                corpus,
                _where(corpus, root),
                condition=condition,
                lists=lists,
                sample_rate=sample_rate,
                n_src=n_src,
                mixtures=mixtures or None,
                on_progress=on_progress,
            )
    if as_json:
        print_json("data check", check_document(findings, corpus))
    else:
        typer.echo("\n".join([*map(str, findings), summary(findings)]))
    if failed(findings):
        raise typer.Exit(1)


@app.command()
def stats(
    corpus: Corpus,
    root: Root = None,
    condition: Condition = None,
    sample_rate: Rate = 8000,
    n_src: Speakers = 2,
    mixtures: Mixtures = 100,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Also hash stored mixtures, which reads all files.")
    ] = False,
    cache: Cache = CACHE,
    as_json: Json = False,
) -> None:
    """Show the counts, speakers, hours and levels of each part, and the manifest hash of speech.

    Example: tisdiss data stats libri2mix /corpora/Libri2Mix
    """
    _check_name(corpus, (*SOURCES,))

    from tisdiss.data.check.statistics import source_stats
    from tisdiss.data.check.statistics import stats as mixture_stats

    digest = ""
    with progress_bar("files") as on_progress:
        if not SOURCES[corpus].stored:
            source = _source(corpus, root, sample_rate, cache, on_progress)
            rows, digest = source_stats(source), source.manifest_hash
        else:
            rows = mixture_stats(
                corpus,
                _where(corpus, root),
                condition=condition,
                sample_rate=sample_rate,
                n_src=n_src,
                mixtures=mixtures or None,
                on_progress=on_progress,
            )
    if manifest and SOURCES[corpus].stored:
        digest = _manifest(corpus, root, condition, sample_rate, n_src, cache, rows)
    if as_json:
        print_json("data stats", stats_document(rows, corpus, digest))
        return
    _show(rows)
    if digest:
        typer.echo(f"manifest {digest}")


def _check_name(corpus: str, names: tuple[str, ...]) -> None:
    if corpus not in names:
        raise ValueError(f"no corpus {corpus!r}; choose from {', '.join(names)}")


def _config(corpus: str, sample_rate: int, **settings: str | None) -> DataConfig:
    from tisdiss.config import DataConfig

    return DataConfig.model_validate({"source": corpus, "sample_rate": sample_rate} | settings)


def _where(corpus: str, root: Path | None) -> Path:
    """The folder `root`, else the one that a training uses."""
    from tisdiss.data.corpus import root_of

    return root_of(_config(corpus, 8000), root)


def _source(
    corpus: str, root: Path | None, sample_rate: int, cache: Path, on_progress: Progress
) -> Source:
    from tisdiss.data.corpus import open_source

    config = _config(corpus, sample_rate)
    return open_source(config, speech=root, cache=cache, on_progress=on_progress)


def _manifest(
    corpus: str,
    root: Path | None,
    condition: str | None,
    sample_rate: int,
    n_src: int,
    cache: Path,
    parts: Collection[str],
) -> str:
    """The manifest hash of the whole corpus."""
    from tisdiss.data import open_corpus

    train_set = "train-100" if "train-100" in parts and "train-360" not in parts else "train-360"
    config = _config(corpus, sample_rate, condition=condition, train_set=train_set)
    return open_corpus(config, n_src, speech=root, cache=cache).manifest_hash


def _show(rows: dict[str, dict[str, float]]) -> None:
    """A table of the parts, with seconds and dB to two places."""
    from rich.console import Console
    from rich.table import Table

    table = Table("part", *next(iter(rows.values()), {}), box=None)
    for name, row in rows.items():
        table.add_row(name, *(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


@app.command()
def download(
    corpus: Annotated[str, typer.Argument(help="librispeech.")],
    part: Annotated[str, typer.Argument(help="Such as dev-clean or train-clean-100.")],
    folder: Annotated[Path, typer.Option(help="Folder to put it in.")] = CACHE / "speech",
    keep_archive: Annotated[bool, typer.Option(help="Keep the archive after unpacking.")] = False,
    address: Annotated[str | None, typer.Option(help="URL of a mirror's folder.")] = None,
) -> None:
    """Fetch a part of LibriSpeech, check its hash and unpack it; a rerun continues.

    Example: tisdiss data download librispeech dev-clean
    """
    from tisdiss.data.build.download import ADDRESS
    from tisdiss.data.build.download import download as fetch

    with progress_bar("bytes") as on_progress:
        where = fetch(
            corpus,
            part,
            folder,
            address=address or ADDRESS,
            keep_archive=keep_archive,
            on_progress=on_progress,
        )
    typer.echo(where)
