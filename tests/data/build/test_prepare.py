"""Building a corpus: in parallel, resumable, whole files only, with errors that say what to do."""

import errno
import hashlib
from pathlib import Path

import pytest

from tisdiss.data.build import prepare as prepare_module
from tisdiss.data.build.prepare import prepare


@pytest.fixture
def wsj0(tmp_path, make_wsj0, wsj0_rows) -> Path:
    return make_wsj0(tmp_path / "wsj0", wsj0_rows)


@pytest.fixture
def build(wsj0, tmp_path, lists):
    """Prepares the small WSJ0-2mix in tmp_path/NAME."""

    def build_it(name: str = "mixed", **options):
        options = {"lists": lists / "wsj0-mix"} | options
        return prepare("wsj0-2mix", wsj0, tmp_path / name, **options)

    return build_it


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*.wav"))
    }


def test_four_workers_write_the_same_bytes_as_one(build):
    one, four = build("one", workers=1), build("four", workers=4)
    assert digests(one.folder) == digests(four.folder)
    assert (one.made, one.present, len(digests(one.folder))) == (9, 0, 27)


def test_names_and_folders_are_those_of_the_official_scripts(build):
    folder = build().folder
    assert folder.as_posix().endswith("mixed/wav8k/min")
    name = "94dc0202_5.2094e-05_95eo0105_-5.2094e-05.wav"
    assert all((folder / "tt" / role / name).exists() for role in ("mix", "s1", "s2"))


def test_a_corpus_of_the_user_is_not_completed_over_its_files(build, tmp_path):
    theirs = tmp_path / "mixed/wav8k/min/tt/s1/theirs.wav"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(ValueError, match=r"wav8k/min holds files, but no prepared\.json"):
        build()
    assert [path for path in (tmp_path / "mixed").rglob("*") if path.is_file()] == [theirs]


def test_rerun_makes_only_what_is_missing(build, tmp_path):
    first = build()
    before = digests(first.folder)
    lost = [
        sorted((first.folder / "cv" / role).iterdir())[k] for k, role in enumerate(("mix", "s2"))
    ]
    for path in lost:
        path.unlink()
    (first.folder / "cv" / "mix" / ".half.wav.x.tmp").write_bytes(b"RIFF")
    second = build()
    assert (second.made, second.present) == (2, 7)
    assert digests(second.folder) == before
    assert not list(first.folder.rglob("*.tmp"))


def test_kill_between_files_leaves_no_mixture_without_its_sources(build, monkeypatch):
    write, written = prepare_module.write_atomic, []

    def killed(path, data):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        write(path, data)

    monkeypatch.setattr(prepare_module, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        build(parts=("tt",))
    home = written[0].parents[0]
    assert written[-1].parent.name in ("s1", "s2", "mix")
    for mixture in (home / "tt" / "mix").glob("*.wav"):
        assert all((home / "tt" / role / mixture.name).exists() for role in ("s1", "s2"))
    monkeypatch.undo()
    assert build(parts=("tt",)).made >= 2


def test_full_disk_says_so_and_a_rerun_continues(build, monkeypatch):
    write = prepare_module.write_atomic

    def full(path, data):
        if "mix" in path.parts and "tt" in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(prepare_module, "write_atomic", full)
    with pytest.raises(ValueError, match=r"No space left on device\); free some space and run ag"):
        build()
    monkeypatch.undo()
    done = build()
    assert done.made == 3 and done.present == 6


def test_too_small_a_disk_is_told_before_anything_is_made(build, monkeypatch, tmp_path):
    class Usage:
        free = 1000

    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(ValueError, match=r"about 3 MB are needed and 0 MB are free"):
        build()
    assert not list(tmp_path.rglob("mix/*.wav"))


def test_broken_recording_is_named_with_its_row_and_the_rest_is_made(build, wsj0):
    path = wsj0 / "disc/wsj0/si_et_05/94d/94dc0201.wv1"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"1 of 9 .*[\s\S]*mix_2_spk_tt\.txt, row 1: .*94dc0201"):
        build()
    assert len(list(wsj0.parent.rglob("mix/*.wav"))) == 8


def test_absent_recordings_are_counted_with_a_row(build, wsj0):
    (wsj0 / "disc/wsj0/si_et_05/94d/94dc0202.wv1").unlink()
    with pytest.raises(ValueError, match=r"2 of 3 rows are not there[\s\S]*_tt\.txt, row 2"):
        build()
    assert build(parts=("tr", "cv")).made == 6


def test_other_settings_in_the_same_folder_are_refused(build, tmp_path, wsj0, lists):
    build(parts=("tt",))
    settings = tmp_path / "mixed/wav8k/min/prepared.json"
    settings.write_text(settings.read_text().replace('"n_src": 2', '"n_src": 3'))
    with pytest.raises(ValueError, match="was started with n_src=3, not 2; choose another folder"):
        build()


def test_unknown_part_and_missing_noise_are_named(build, tmp_path, lists):
    with pytest.raises(ValueError, match="WSJ0-2mix has no part 'test'; it has tr, cv, tt"):
        build(parts=("test",))
    with pytest.raises(ValueError, match="condition='noisy' needs WHAM!'s noise: name its folder"):
        prepare("libri2mix", tmp_path, tmp_path, lists=lists, condition="noisy")


def test_whamr_is_left_to_its_own_scripts(build, tmp_path, lists):
    with pytest.raises(ValueError, match="WHAMR! is made by its own scripts"):
        prepare("whamr", tmp_path, tmp_path, lists=lists)


def test_progress_counts_to_the_end(build):
    seen = []
    build(on_progress=lambda done, total: seen.append((done, total)), parts=("tt",))
    assert seen[0] == (0, 3) and seen[-1] == (3, 3)
