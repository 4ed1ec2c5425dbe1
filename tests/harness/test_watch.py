"""The watch display: workers with their last sign of life; drawn once if not on a terminal."""

import io
import os
import time

from rich.console import Console

from tisdiss.harness.watch import watch_status
from tisdiss.records.run_folder import Journal, RunFolder

IDENTITY = "ab" * 32


def drawn(runs_dir, **options):
    out = io.StringIO()
    watch_status(runs_dir, Console(file=out, width=160, **options), **{})
    return out.getvalue()


def make_folder(tmp_path):
    folder = RunFolder.of(tmp_path, IDENTITY)
    folder.write("config.json", {"identity": IDENTITY, "name": "sep1x2-re1x3-l1+3"})
    with Journal(folder.journal) as journal:
        journal.append({"kind": "train", "step": 7, "epoch": 1, "metrics": {"train/loss": 2.5}})
    return folder


def test_a_run_at_work_shows_its_process_and_progress(tmp_path):
    with make_folder(tmp_path).lease():
        text = drawn(tmp_path)
    assert f"{os.getpid()} on " in text and "step 7, loss 2.50 dB" in text and "hangs" not in text


def test_a_run_that_nobody_holds_is_not_at_work(tmp_path):
    make_folder(tmp_path)
    assert "step 7" not in drawn(tmp_path)


def test_a_silent_holder_is_said_to_hang(tmp_path):
    folder = make_folder(tmp_path)
    with folder.lease(5):
        os.utime(folder.lock_file, (time.time() - 60,) * 2)
        assert "60 s, hangs" in drawn(tmp_path)


def test_on_a_terminal_it_is_drawn_until_interrupted(tmp_path):
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    watch_status(tmp_path, console, seconds=0.1, sleep=sleep)
    assert naps == [0.1] * 3
