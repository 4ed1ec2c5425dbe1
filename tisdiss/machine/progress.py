"""Progress of long work: a function that is called with (done, total) after each step."""

from collections.abc import Callable

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Ignore progress."""
