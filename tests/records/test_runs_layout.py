"""The files of a runs folder beside its runs: each path, and what a name tells."""

from pathlib import Path

import pytest

from tisdiss.records import runs_layout
from tisdiss.records.run_folder import run_folders

RUNS = Path("runs")
OF_A_STUDY = {
    runs_layout.plan_file: "plans",
    runs_layout.timing_file: "timings",
    runs_layout.seed_path_file: "until_decided",
    runs_layout.search_file: "searches",
    runs_layout.report_note: "reports",
}


@pytest.mark.parametrize(("file", "folder"), OF_A_STUDY.items())
def test_a_file_of_a_study_lies_in_its_folder_and_tells_the_study(file, folder) -> None:
    path = file(RUNS, "fig2a", "mini")
    assert path == RUNS / folder / "fig2a.mini.json"
    assert runs_layout.study_and_profile(path) == ("fig2a", "mini")


def test_other_paths() -> None:
    assert runs_layout.search_journal(RUNS, "search_loss") == RUNS / "searches/search_loss.journal"
    assert runs_layout.search_lock(RUNS, "search_loss") == RUNS / "searches/.search_loss.lock"
    assert runs_layout.submissions_folder(RUNS) == RUNS / "slurm"
    assert runs_layout.origin_file(RUNS) == RUNS / "origin.txt"


def test_every_folder_is_one_of_ours_and_none_may_be_a_run(tmp_path: Path) -> None:
    folders = {*OF_A_STUDY.values(), runs_layout.submissions_folder(RUNS).name}
    assert set(runs_layout.FOLDERS) == folders
    for name in folders:
        (tmp_path / name).mkdir()
    assert run_folders(tmp_path) == []


def test_plans_are_found_by_profile_and_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    for name in ("b.mini.json", "a.mini.json", "a.smoke.json", "queue-0", ".a.mini.json.lock"):
        (tmp_path / "plans" / name).touch()
    names = [path.name for path in runs_layout.plan_files(tmp_path)]
    assert names == ["a.mini.json", "a.smoke.json", "b.mini.json"]
    names = [path.name for path in runs_layout.plan_files(tmp_path, "mini")]
    assert names == ["a.mini.json", "b.mini.json"]


@pytest.mark.parametrize("host", ["box", "my-host.org", "7", "a@b/c", "1-2", "bücher", ""])
def test_a_queue_names_its_process_and_its_machine(host, monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    monkeypatch.setattr("os.getpid", lambda: 4711)
    queue = runs_layout.queue_file(RUNS, "0123456789")
    code = runs_layout.code_file(queue, "1234567890")
    assert queue.parent == code.parent == RUNS / "plans" and queue != code
    assert runs_layout.queue_owner(queue) == runs_layout.queue_owner(code) == (4711, host)


@pytest.mark.parametrize("name", ["fig2a.mini.json", "queue-0", "queue-a-b", "queue-a-1@h@r@s"])
def test_other_files_are_no_queue(name) -> None:
    assert runs_layout.queue_owner(RUNS / "plans" / name) is None
