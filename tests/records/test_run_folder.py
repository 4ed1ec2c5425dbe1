"""The run folder: one writer, a journal that survives a kill, states that say what remains."""

import json
import os

import pytest

from tisdiss.machine.lease import RunHeldError
from tisdiss.records.files import DamagedError
from tisdiss.records.run_folder import Journal, RunFolder, read_journal, run_folders

STEP_1 = {"kind": "train", "step": 1, "epoch": 0, "metrics": {}}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.of(tmp_path, "0123456789abcdef")


def test_a_second_holder_is_refused_and_told_who_holds_it(folder):
    with (
        folder.lease(),
        pytest.raises(RunHeldError, match=rf"run 0123456789 is held by process {os.getpid()} on "),
        RunFolder(folder.path, folder.identity).lease(),
    ):
        pass


def test_a_lease_is_free_again_when_its_holder_is_gone(folder):
    if (child := os.fork()) == 0:
        lease = folder.lease()
        lease.__enter__()
        os._exit(1)
    os.waitpid(child, 0)
    with folder.lease():
        assert json.loads((folder.path / "lock").read_text())["pid"] == os.getpid()


def test_a_group_shares_a_run_as_its_umask_says(folder):
    before = os.umask(0o002)
    try:
        with folder.lease():
            assert (folder.path / "lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_events_come_back_in_order_with_their_times(folder):
    with Journal(folder.journal) as journal:
        first = journal.append({"kind": "train", "step": 1, "epoch": 0, "metrics": {"x": 1.5}})
        journal.append({"kind": "train", "step": 2, "epoch": 0, "metrics": {"x": float("nan")}})
    events = read_journal(folder.journal)
    assert events[0] == first and events[0].ts_ms > 1_700_000_000_000
    assert [event.step for event in events] == [1, 2]


def test_a_torn_last_line_is_dropped_by_readers_and_cut_by_the_next_writer(folder):
    with Journal(folder.journal) as journal:
        journal.append(STEP_1)
    with folder.journal.open("a") as file:
        file.write('{"step": 2, "met')
    assert [event.step for event in read_journal(folder.journal)] == [1]
    with Journal(folder.journal) as journal:
        journal.append({**STEP_1, "step": 3})
    assert [event.step for event in read_journal(folder.journal)] == [1, 3]


def test_any_other_bad_line_is_an_error_with_its_number(folder):
    folder.path.mkdir()
    good = json.dumps({"ts_ms": 1, **STEP_1})
    folder.journal.write_text(f'{good}\n{{"step": 2, "me\n{good}\n')
    with pytest.raises(ValueError, match=r"events\.jsonl:2: not a JSON event"):
        read_journal(folder.journal)


def test_states(folder):
    assert folder.state() == "new"
    folder.write("config.json", {"identity": folder.identity})
    assert folder.state() == "partial"
    for status, state in [("failed", "failed"), ("diverged", "failed"), ("done", "done")]:
        folder.write("result.json", {"status": status})
        assert folder.state() == state
    assert folder.state(("e" * 64,)) == "partial"


def test_a_folder_of_another_run_with_the_same_digits_is_refused(folder):
    folder.write("config.json", {"identity": "0123456789ffff"})
    with pytest.raises(ValueError, match="holds run 0123456789ffff, not 0123456789abcdef"):
        folder.state()


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "evaluations/eeeeeeeeee/evaluation.json"]
)
def test_a_damaged_file_is_told_with_its_name_and_the_way_out(folder, name):
    folder.write("config.json", {"identity": folder.identity})
    folder.write("result.json", {"status": "done"})
    folder.write("evaluations/eeeeeeeeee/evaluation.json", {"identity": "e" * 64})
    assert folder.state(("e" * 64,)) == "done"
    (folder.path / name).write_text('{"sta')
    with pytest.raises(DamagedError, match=f"{name}: not JSON .*; delete that file, or the whole"):
        folder.state(("e" * 64,))


def test_run_folders_are_found_and_other_folders_are_not(folder, tmp_path):
    folder.write("config.json", {"identity": folder.identity})
    (tmp_path / "notes").mkdir()
    assert run_folders(tmp_path) == [folder.path]
    assert RunFolder.at(folder.path) == folder
    folder.write("config.json", {})
    with pytest.raises(DamagedError, match=r"config\.json: the key 'identity' is missing"):
        RunFolder.at(folder.path)
