"""`tisdiss data ...`: the paper's corpora made, checked, described and fetched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(no_args_is_help=True, help="Prepare, check, describe and download corpora.")

Corpus = Annotated[str, typer.Argument(help="wsj0-2mix, libri2mix or whamr.")]
Root = Annotated[Path, typer.Argument(help="Where the corpus, or the speech for it, lies.")]
Lists = Annotated[Path | None, typer.Option(help="Folder of the official lists.")]
Condition = Annotated[
    str | None, typer.Option(help="clean, noisy, reverberant or noisy-reverberant.")
]
Rate = Annotated[int, typer.Option(help="Hz.")]
Mixtures = Annotated[int, typer.Option(help="Mixtures of each part that are measured; 0: all.")]


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="wsj0-2mix or libri2mix.")],
    root: Root,
    out: Annotated[Path, typer.Argument(help="Folder for the mixtures.")],
    lists: Annotated[Path, typer.Option(help="Folder of the official lists.")],
    noise: Annotated[Path | None, typer.Option(help="WHAM noise, for noisy conditions.")] = None,
    condition: Condition = None,
    part: Annotated[list[str] | None, typer.Option(help="Only these parts; repeatable.")] = None,
    sample_rate: Rate = 8000,
    mode: Annotated[
        Literal["min", "max"], typer.Option(help="Cut to the shortest, or pad.")
    ] = "min",
    workers: Annotated[int, typer.Option(help="Mixtures made at a time.")] = 2,
) -> None:
    """Build a corpus from its speech with the official lists; a rerun continues.

    Example: tisdiss data prepare wsj0-2mix /corpora/wsj0 /corpora/2mix --lists metadata/wsj0-mix
    """
    from tisdiss.data.prepare import prepare as make

    with _progress("mixtures") as on_progress:
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
            workers=workers,
            on_progress=on_progress,
        )
    typer.echo(f"{done.folder}: {done.made} mixtures made, {done.present} were there")


@app.command()
def check(
    corpus: Corpus,
    root: Root,
    lists: Lists = None,
    condition: Condition = None,
    sample_rate: Rate = 8000,
    mixtures: Mixtures = 100,
) -> None:
    """Look a stored corpus over: counts, rates, sums, levels, overlaps. Exit code 1 on FAIL.

    Example: tisdiss data check wsj0-2mix /corpora/2speakers
    """
    from tisdiss.data.doctor import check as examine
    from tisdiss.data.doctor import failed

    with _progress("files") as on_progress:
        findings = examine(
            corpus,
            root,
            condition=condition,
            lists=lists,
            sample_rate=sample_rate,
            mixtures=mixtures or None,
            on_progress=on_progress,
        )
    for finding in findings:
        typer.echo(str(finding))
    if failed(findings):
        raise typer.Exit(1)


@app.command()
def stats(
    corpus: Corpus,
    root: Root,
    condition: Condition = None,
    sample_rate: Rate = 8000,
    mixtures: Mixtures = 100,
) -> None:
    """Mixtures, speakers, hours and levels of each part of a stored corpus.

    Example: tisdiss data stats libri2mix /corpora/Libri2Mix
    """
    from rich.console import Console
    from rich.table import Table

    from tisdiss.data.doctor import stats as describe

    with _progress("files") as on_progress:
        parts = describe(
            corpus,
            root,
            condition=condition,
            sample_rate=sample_rate,
            mixtures=mixtures or None,
            on_progress=on_progress,
        )
    table = Table("part", *next(iter(parts.values()), {}))
    for name, row in parts.items():
        table.add_row(name, *(f"{value:g}" for value in row.values()))
    Console().print(table)


@app.command()
def download(
    corpus: Annotated[str, typer.Argument(help="librispeech.")],
    part: Annotated[str, typer.Argument(help="Such as dev-clean or train-clean-100.")],
    folder: Annotated[Path, typer.Option(help="Where it goes.")] = Path("cache/speech"),
    keep_archive: Annotated[bool, typer.Option(help="Keep the archive after unpacking.")] = False,
) -> None:
    """Fetch a part of LibriSpeech: resumed, checked by hash, unpacked safely.

    Example: tisdiss data download librispeech dev-clean
    """
    from tisdiss.data.download import download as fetch

    with _progress("bytes") as on_progress:
        where = fetch(corpus, part, folder, keep_archive=keep_archive, on_progress=on_progress)
    typer.echo(where)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
