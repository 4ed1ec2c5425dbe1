"""Progress of long commands: a bar, and stages with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tisdiss.machine.progress import Progress


def say(what: str) -> None:
    """Print a line on stderr, so that it is not taken for output."""
    print(what, file=sys.stderr, flush=True)


class Stages:
    """Prints each stage of a long command, with the time left.

    The time left is the usual time of further stages, scaled by the actual over the usual time of
    earlier ones.
    """

    SECONDS: ClassVar = {
        "loading": 4.0,
        "scores": 0.2,
        "figures": 6.0,
        "tables and claims": 0.3,
        "notebook": 11.0,
        "sounds": 0.3,
        "figures and tables": 3.0,
    }
    """Usual seconds of each stage, measured on two busy cores."""

    def __init__(self, stages: Sequence[str]) -> None:
        self.stages, self.at, self.began = ["loading", *stages], 0, time.monotonic()
        self("loading")

    def __call__(self, what: str) -> None:
        """Print what is done now: one of the stages, or something between them."""
        coming = range(self.at, len(self.stages))
        now = next((at for at in coming if what.endswith(self.stages[at])), None)
        if now is not None:
            usual = [self.SECONDS[stage] for stage in self.stages]
            before, after = sum(usual[:now]), sum(usual[now:])
            scale = (time.monotonic() - self.began) / before if before else 1.0
            self.at = now + 1
            what = f"{what}, about {max(1, round(scale * after))} s left"
        say(what)


def report_stages(studies: int, *, notebook: bool) -> list[str]:
    """The stages, for `Stages`, of this many reports."""
    one = ["scores", "figures", "tables and claims", *(["notebook"] if notebook else [])]
    return one * studies


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on a terminal, removed when the block ends; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
