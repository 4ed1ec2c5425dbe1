"""Saving is all or nothing: whatever call fails, whenever it is killed, however full the disk."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
import torch

from tisdiss.checkpoint import load_state, save_state
from tisdiss.records import files
from tisdiss.records.run_folder import Journal, read_journal

KILLS = int(os.environ.get("DRILL_KILLS", "25"))
CALLS = ("os.fsync", "os.replace", "os.open")


def state_of(step, size=1000):
    return {"step": step, "weights": torch.full((size,), float(step))}


def newest(folder):
    """The step of the newest intact state, and whether its content belongs to it."""
    state = load_state(folder)[0]
    return state and (state["step"], bool((state["weights"] == state["step"]).all()))


@pytest.mark.drill("R2")
def test_whichever_call_fails_the_state_before_is_intact(tmp_path, monkeypatch, figure):
    """The k-th system call of a save fails, for every k until one succeeds."""
    failures = 0
    for name in CALLS:
        module, call = name.split(".")
        real = getattr(getattr(files, module), call)
        for k in range(1, 10):
            folder = tmp_path / f"{call}{k}"
            save_state(folder, 1, state_of(1))
            calls = iter(range(1, 1000))

            def fail(*arguments, real=real, calls=calls, k=k, **options):
                if next(calls) == k:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(*arguments, **options)

            with monkeypatch.context() as patch:
                patch.setattr(getattr(files, module), call, fail)
                try:
                    save_state(folder, 2, state_of(2))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    failures += 1
                else:
                    break
            assert newest(folder) in ((1, True), (2, True)), name
            assert not list(folder.glob(".*.tmp"))
        else:
            pytest.fail(f"{name} was called nine times")
    figure(f"{failures} failed calls, 0 states lost or torn")


@pytest.mark.drill("R2")
def test_a_writer_killed_at_random_moments_leaves_an_intact_state(tmp_path, figure):
    moments, corrupt = random.Random(3), 0
    folder = tmp_path / "checkpoints"
    save_state(folder, 1, state_of(1))
    for _ in range(KILLS):
        before = newest(folder)[0]
        if (writer := os.fork()) == 0:
            for step in range(before + 1, before + 100_000):
                save_state(folder, step, state_of(step, size=300_000))
        time.sleep(moments.uniform(0.05, 0.2))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        found = newest(folder)
        corrupt += found is None or not found[1] or found[0] < before
    assert corrupt == 0
    figure(f"{KILLS} kills while saving, 0 corrupt")


@pytest.mark.drill("R2")
def test_a_full_disk_is_told_and_costs_nothing_that_was_saved(tmp_path, figure):
    mount = shutil.which("mount")
    small = tmp_path / "small"
    small.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if not mount or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk is mounted by root")
    try:
        with Journal(small / "events.jsonl") as journal, pytest.raises(OSError, match="No space"):
            for step in range(1, 1000):
                save_state(small / "checkpoints", step, state_of(step, size=20_000 * step))
                journal.append({"kind": "train", "step": step, "epoch": 0, "metrics": {}})
        step, whole = newest(small / "checkpoints")
        assert whole and step == len(read_journal(small / "events.jsonl"))
        assert not list(small.rglob(".*.tmp"))
        figure(f"disk of 1 MB full after {step} states: told, the last one intact")
    finally:
        subprocess.run(["umount", str(small)], check=True)
