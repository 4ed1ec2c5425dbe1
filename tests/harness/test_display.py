"""The terminal display of runs in progress."""

import io
from types import SimpleNamespace

from rich.console import Console
from rich.text import Text

from tisdiss.harness.display import Watcher
from tisdiss.records.run_record import Event


def test_a_warning_of_a_run_is_shown_at_once() -> None:
    console = Console(file=io.StringIO(), width=100)
    run = SimpleNamespace(identity="ab" * 32, name="sep1x2-re1x3-l1+3")
    event = Event(ts_ms=1, kind="warning", step=3, epoch=0, text="state [one] is damaged")
    Watcher(console)(run, event)
    assert console.file.getvalue() == "ababababab warning: state [one] is damaged\n"


def test_on_a_terminal_each_run_has_a_bar_with_the_time_left() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    watcher = Watcher(console)
    config = SimpleNamespace(epochs=2, steps_per_epoch=5)
    runs = [SimpleNamespace(identity=i * 64, parent=None, config=config) for i in "ab"]
    for run in runs:
        metrics = {"train/loss": -3.5, "speed/seconds_left": 75.0}
        watcher(run, Event(ts_ms=1, kind="train", step=4, epoch=0, metrics=metrics))
    console.print(watcher.progress)
    drawn = Text.from_ansi(console.file.getvalue()).plain.splitlines()
    assert [line.split()[:2] for line in drawn] == [
        ["aaaaaaaaaa", "train"],
        ["bbbbbbbbbb", "train"],
    ]
    assert all(line.rstrip().endswith("step 4, loss -3.50 dB, 1:15 left") for line in drawn)
    scored = Event(ts_ms=1, kind="eval", step=6, epoch=0, metrics={"eval/mixtures": 6})
    watcher(runs[0], scored)
    assert [task.description for task in watcher.progress.tasks] == ["bbbbbbbbbb train"]
