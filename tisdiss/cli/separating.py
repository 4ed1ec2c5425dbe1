"""What `tisdiss separate` does with its recordings, one after the other, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tisdiss.cli.bar import progress_bar
from tisdiss.sound.outputs import (
    Source,
    check_folder,
    check_sources,
    check_targets,
    shown,
    sources_of,
)
from tisdiss.sound.recording import received, recording

if TYPE_CHECKING:
    from tisdiss.dial import Dial
    from tisdiss.recordings import Separated, Wishes
    from tisdiss.whole import AnyNet

STANDARD = Path("-")
"""Standard input or output."""


@contextmanager
def with_sources(files: Sequence[Path], out: Path) -> Iterator[list[Source]]:
    """The recordings that the files name; standard input is kept in a temporary file meanwhile."""
    if out != STANDARD:
        check_folder(out)
    with ExitStack() as stack:
        sources = []
        for file in files:
            if file != STANDARD:
                sources += sources_of([file], out)
            elif any(source.called for source in sources):
                raise ValueError("standard input (-) is named twice")
            else:
                folder = None if out == STANDARD else out
                path = stack.enter_context(received(sys.stdin.buffer, folder))
                sources.append(Source(path, Path("stdin"), "standard input"))
        check_sources(sources)
        yield sources


class Job:
    """The recordings of one command and where their speakers go."""

    def __init__(self, sources: list[Source], out: Path, *, force: bool) -> None:
        self.sources, self.out, self.force = sources, out, force
        self.count, self.failed = len(sources), 0
        if out == STANDARD and len(sources) != 1:
            raise ValueError(f"-o - takes one recording, not {len(sources)}; name a folder (-o)")
        if out == STANDARD and sys.stdout.isatty():
            raise ValueError("-o - writes sound, and standard output is a terminal; redirect it")
        self.check_targets(1)

    def check_targets(self, n_src: int) -> None:
        """Raise ValueError if an output would replace a file that it must not."""
        if self.out != STANDARD:
            check_targets(self.sources, self.out, n_src, force=self.force)

    def keep_those_that_open(self) -> None:
        """Drop recordings that do not open, with an error each; ends the command if none is left.

        Needs no torch.
        """
        self.sources = [source for source in self.sources if self._opens(source)]
        if not self.sources:
            self._end()

    def separate(self, model: AnyNet, wishes: Wishes) -> None:
        """Separate all; ends the command with an error code if one failed."""
        from tisdiss.separate import rate_note

        for number, source in enumerate(self.sources, start=1):
            what = f"{number}/{len(self.sources)} {source.label}"
            try:
                done = self._one(model, source, wishes, what)
            except (ValueError, OSError) as error:
                self._error(error, source)
                continue
            self._say(_summary(source.label, done, wishes.dial))
            for path in done.files:
                self._say(f"  {shown(path)}")
            if note := rate_note(done.rate, model):
                self._say(f"  {note}")
        if self.failed:
            self._end()

    def _one(self, model: AnyNet, source: Source, wishes: Wishes, what: str) -> Separated:
        from tisdiss.recordings import separate_file, separate_to_stream

        with progress_bar(what) as on_part:
            if self.out == STANDARD:
                return separate_to_stream(model, source.path, sys.stdout.buffer, wishes, on_part)
            return separate_file(model, source, self.out, wishes, on_part, force=self.force)

    def _say(self, line: str) -> None:
        typer.echo(line, err=self.out == STANDARD)

    def _opens(self, source: Source) -> bool:
        try:
            with recording(source.path):
                return True
        except ValueError as error:
            self._error(error, source)
            return False

    def _error(self, error: Exception, source: Source) -> None:
        self.failed += 1
        message = shown(str(error)).replace(shown(source.path), source.label)
        typer.secho(f"error: {message}", fg="red", err=True)

    def _end(self) -> None:
        if self.count > 1:
            what = f"{self.failed} of {self.count} files could not be separated"
            typer.secho(what, fg="red", err=True)
        raise typer.Exit(2)


def _summary(name: str, done: Separated, dial: Dial) -> str:
    """What was done, in a line."""
    line = f"{name} ({done.seconds:.1f} s) at N_re = {done.n_re} in {done.took:.1f} s"
    if dial.seconds is not None and done.took > dial.seconds:
        line += f", over the {dial.seconds:g} s of --within"
    if dial.budget is not None and done.took > dial.budget * done.seconds:
        line += f", over the {dial.budget:g} s a second of --budget"
    if done.lowered_db:
        line += f", lowered by {done.lowered_db:.1f} dB to prevent clipping"
    return f"{line}:" if done.speakers else f"{line}: no speaker"
