"""The cache: decoded once, whole or absent, and exact."""

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest

from tisdiss.data import decoded as store_module
from tisdiss.data.decoded import open_store

NAMES = ["a/0.wav", "a/1.wav", "b/0.wav"]


@pytest.fixture
def root(write, tmp_path) -> Path:
    for name in NAMES:
        write(name)
    (tmp_path / "speakers" / "b" / "bad.wav").write_bytes(b"nothing")
    return tmp_path / "speakers"


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The files that were decoded, in order of their names."""
    seen: list[str] = []

    def spy(path, *arguments):
        seen.append(path.name)
        return decode(path, *arguments)

    decode = store_module.decode
    monkeypatch.setattr(store_module, "decode", spy)
    return seen


def open_it(root, tmp_path, names=(*NAMES, "b/bad.wav")):
    return open_store(root, names, sample_rate=8000, cache=tmp_path / "cache")


def test_samples_come_back_exactly(root, tmp_path):
    from soundfile import read

    store = open_it(root, tmp_path)
    for name in NAMES:
        assert np.array_equal(store.read(name), read(root / name, dtype="float32")[0])
    assert store.read(NAMES[1], 10, 7).tolist() == store.read(NAMES[1])[10:17].tolist()
    assert store.read(NAMES[0]).dtype == np.float32


def test_reading_beyond_the_end_is_refused(root, tmp_path):
    with pytest.raises(ValueError, match=r"samples 7990 to 8010 of a/0.wav: it has 8000"):
        open_it(root, tmp_path).read("a/0.wav", 7990, 20)


def test_refused_file_is_an_entry_with_its_rule(root, tmp_path):
    entry = open_it(root, tmp_path).entries["b/bad.wav"]
    assert "corrupt" in entry.refused and entry.samples == 0


def test_second_opening_decodes_nothing(root, tmp_path, decoded):
    first = open_it(root, tmp_path)
    assert len(decoded) == 4
    assert open_it(root, tmp_path).entries == first.entries
    assert len(decoded) == 4


def test_changed_file_is_decoded_anew(root, tmp_path, decoded, write):
    before = open_it(root, tmp_path).entries["a/0.wav"].digest
    write("a/0.wav", np.full(9000, 0.1))
    assert open_it(root, tmp_path).entries["a/0.wav"].digest != before
    assert len(decoded) == 8


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_samples_are_decoded_again(root, tmp_path, damage):
    signal = open_it(root, tmp_path).read("b/0.wav")
    [pcm] = (tmp_path / "cache").glob("*.pcm")
    pcm.unlink() if damage == "missing" else pcm.write_bytes(pcm.read_bytes()[:-2])
    assert np.array_equal(open_it(root, tmp_path).read("b/0.wav"), signal)


def test_killed_decoding_leaves_no_index(root, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store_module, "decode", killed)
        open_it(root, tmp_path)
    assert not list((tmp_path / "cache").glob("*.json"))
    assert open_it(root, tmp_path).read("a/0.wav").any()


def test_full_disk_names_the_cache_and_gives_its_space_back(root, tmp_path, monkeypatch):
    def full(pcm, exponent):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "digest", full)
        with pytest.raises(ValueError, match=r"cache: no space for the decoded speech of .*speak"):
            open_it(root, tmp_path)
    assert not list((tmp_path / "cache").glob("*.p*"))
    assert open_it(root, tmp_path).read("a/0.wav").any()


def test_digest_is_of_the_sound_not_of_the_file(write, tmp_path):
    signal = np.rint(3000 * np.sin(np.arange(8000))) / 32768
    write("a/0.wav", signal)
    write("b/0.flac", signal)
    entries = open_it(tmp_path / "speakers", tmp_path, ["a/0.wav", "b/0.flac"]).entries
    assert entries["a/0.wav"].digest == entries["b/0.flac"].digest


def test_pickled_store_reads_the_same(root, tmp_path):
    store = open_it(root, tmp_path)
    store.read("a/0.wav")
    data = pickle.dumps(store)
    assert len(data) < 3000
    assert np.array_equal(pickle.loads(data).read("a/0.wav"), store.read("a/0.wav"))
