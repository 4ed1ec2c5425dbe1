"""How long work tells how far it is: a call with what is done and the total, after each step."""

from collections.abc import Callable

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """No progress is shown."""
