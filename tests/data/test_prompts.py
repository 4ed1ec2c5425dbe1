"""Debian's voice prompts, from small packages built here: nothing is downloaded."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tisdiss.data import fixed_set
from tisdiss.data.prompts import VOICES, fetch, prompts, read_prompts, unpack

ENGLISH, SPANISH, RUSSIAN = (f"asterisk-core-sounds-{x}-wav" for x in ("en", "es", "ru"))
PAIR = (ENGLISH, RUSSIAN)
APT = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *Dir::State::Lists*) private=1 ;; esac
case "$*" in *update) [ -z "{offline}" ] || echo "W: Failed to fetch x  {offline}" >&2 ;; esac
for word in "$@"; do
  case "$word" in asterisk-*)
    [ -z "{needs_private}" ] || [ -n "$private" ] || {{ echo "E: no lists" >&2; exit 100; }}
    [ -z "{offline}" ] || {{ echo "E: Unable to locate package $word" >&2; exit 100; }}
    [ -z "{broken}" ] || {{ echo "E: {broken}" >&2; exit 100; }}
    cp {store}/$word.deb . || {{ echo "E: Unable to locate package $word" >&2; exit 100; }} ;;
  esac
done
"""
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")


@pytest.fixture
def tree(write: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes the files of an unpacked package and returns their folder."""

    def make(package: str, names: tuple[str, ...], root: Path) -> Path:
        for name in names:
            source = write(f"{package}/{name}.wav")
            target = root / f"{name}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return root

    return make


@pytest.fixture
def archive(tree: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Builds tmp_path/store/<package>.deb."""

    def make(package: str, version: str = "1.2-1") -> Path:
        content = tmp_path / "content" / package
        tree(package, ("hello", "digits/one"), content / "usr/share/asterisk/sounds/voice")
        for path, text in {
            f"usr/share/doc/{package}/copyright": "free\n",
            "DEBIAN/control": f"Package: {package}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: voice\n",
        }.items():
            (content / path).parent.mkdir(parents=True, exist_ok=True)
            (content / path).write_text(text)
        target = tmp_path / "store" / f"{package}.deb"
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-b", content, target], check=True, capture_output=True)
        return target

    return make


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts an apt-get on the path that hands out tmp_path/store; returns the log of its calls."""

    def install(*, needs_private: str = "", broken: str = "", offline: str = "") -> Path:
        log, script = tmp_path / "apt.log", tmp_path / "bin" / "apt-get"
        script.parent.mkdir(exist_ok=True)
        words = {"needs_private": needs_private, "broken": broken, "offline": offline}
        text = APT.format(log=log, store=tmp_path / "store", **words)
        script.write_text(text)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
        return log

    return install


@needs_dpkg
def test_unpacked_package_is_its_sounds_copyright_and_version(archive, tmp_path):
    unpack(archive(ENGLISH), tmp_path / "root")
    files = {p.relative_to(tmp_path / "root").as_posix() for p in (tmp_path / "root").rglob("*.*")}
    assert files == {f"{ENGLISH}/voice/hello.wav", f"{ENGLISH}/voice/digits/one.wav"}
    assert (tmp_path / "root" / ENGLISH / "version").read_text() == "1.2-1\n"
    assert (tmp_path / "root" / ENGLISH / "copyright").read_text() == "free\n"


@needs_dpkg
def test_half_downloaded_archive_leaves_nothing(archive, tmp_path):
    path = archive(ENGLISH)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"asterisk-core-sounds-en-wav\.deb (cannot|is no)"):
        unpack(path, tmp_path / "root")
    assert not (tmp_path / "root" / ENGLISH).exists()


@needs_dpkg
def test_fetch_downloads_once_and_says_so(archive, apt, tmp_path, capsys):
    log, root = apt(), tmp_path / "root"
    for package in PAIR:
        archive(package)
    assert fetch(PAIR, root) == dict.fromkeys(PAIR, "1.2-1")
    note = f"note: fetching {', '.join(PAIR)} into {root}, about 20 MB each\n"
    assert capsys.readouterr().err == note
    calls = log.read_text()
    assert fetch(PAIR, root) == dict.fromkeys(PAIR, "1.2-1")
    assert not capsys.readouterr().err
    assert log.read_text() == calls and calls.count("\n") == 1
    assert not (tmp_path / "root" / ".download").exists()


@needs_dpkg
def test_killed_fetch_is_taken_up_again(archive, apt, tmp_path):
    log = apt()
    for package in PAIR:
        unpack(archive(package), tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / RUSSIAN)
    for left in (".download/half.deb", f".new-{RUSSIAN}/usr/x"):
        (tmp_path / "root" / left).parent.mkdir(parents=True)
        (tmp_path / "root" / left).write_bytes(b"half")
    assert set(fetch(PAIR, tmp_path / "root")) == set(PAIR)
    assert ENGLISH not in log.read_text()
    assert sorted(os.listdir(tmp_path / "root")) == [".lock", *PAIR]


@needs_dpkg
def test_missing_package_lists_are_fetched_into_the_cache(archive, apt, tmp_path):
    log = apt(needs_private="yes")
    for package in PAIR:
        archive(package)
    assert set(fetch(PAIR, tmp_path / "root")) == set(PAIR)
    update = next(line for line in log.read_text().splitlines() if line.endswith("update"))
    assert f"Dir::State::Lists={tmp_path}/root/" in update


@needs_dpkg
def test_package_that_the_distribution_lacks_is_left_out_and_asked_for_once(archive, apt, tmp_path):
    log = apt()
    for package in PAIR:
        archive(package)
    missing = "asterisk-prompt-it-menardi-wav"
    assert set(fetch((*PAIR, missing), tmp_path / "root")) == set(PAIR)
    calls = log.read_text()
    assert set(fetch((*PAIR, missing), tmp_path / "root")) == set(PAIR)
    assert log.read_text() == calls


@needs_dpkg
def test_one_voice_is_not_enough(archive, apt, tmp_path):
    apt()
    archive(ENGLISH)
    archive(SPANISH)
    with pytest.raises(ValueError, match=r"two voices are needed[\s\S]*SPEECH=/path/to/speakers"):
        fetch((ENGLISH, SPANISH, RUSSIAN), tmp_path / "root")
    archive(RUSSIAN)  # it is asked for again
    assert RUSSIAN in fetch((ENGLISH, SPANISH, RUSSIAN), tmp_path / "root")


@needs_dpkg
def test_network_failure_says_what_apt_said(apt, tmp_path):
    apt(broken="Could not resolve host")
    message = r"could not fetch .*en-wav: E: Could not resolve host[\s\S]*try again[\s\S]*SPEECH="
    with pytest.raises(ValueError, match=message):
        fetch(PAIR, tmp_path / "root")


@needs_dpkg
def test_lists_that_cannot_be_fetched_are_no_lack_of_packages(apt, tmp_path):
    apt(offline="Connection refused")
    message = r"could not fetch .*en-wav: Failed to fetch x  Connection refused\nCheck the network"
    with pytest.raises(ValueError, match=message):
        fetch(PAIR, tmp_path / "root")


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-deb"])
def test_system_without_apt_is_told_of_speech(tmp_path, monkeypatch, tool):
    which = {"apt-get": "/usr/bin/apt-get", "dpkg-deb": "/usr/bin/dpkg-deb", tool: None}
    monkeypatch.setattr("tisdiss.data.prompts.shutil.which", which.get)
    message = rf"needs {tool}.*[\s\S]*SPEECH=/path/to/speakers[\s\S]*speakers/alice/one\.flac"
    with pytest.raises(ValueError, match=message):
        prompts(sample_rate=8000, cache=tmp_path)


@pytest.fixture
def source(tree, write, tmp_path):
    """Ten prompts of each of three packages, and of each kind that is refused, one."""
    names = tuple(f"voice/p{k}" for k in range(10))
    for package in (ENGLISH, SPANISH, RUSSIAN):
        tree(package, names, tmp_path / "root" / package)
    odd = ("voice/silence/1", "voice/beep", "voice/tt-monkeys", "voice/pbx-invalid")
    tree(ENGLISH, odd, tmp_path / "root" / ENGLISH)
    short = write("short.wav", 0.1 * np.sin(np.arange(5000)))
    shutil.copyfile(short, tmp_path / "root" / ENGLISH / "voice/short.wav")
    versions = dict.fromkeys((ENGLISH, SPANISH, RUSSIAN), "1.2-1")
    return read_prompts(tmp_path / "root", versions, sample_rate=8000, cache=tmp_path / "cache")


def test_what_is_no_new_speech_is_refused_by_rule(source):
    assert {rule: row["count"] for rule, row in source.report["refused"].items()} == {
        "a tone or noise by name, no speech": 2,
        "part of another prompt, so not unheard": 1,
        "shorter than 0.7 s": 1,
        "silence by name": 1,
    }
    assert source.report["packages"][ENGLISH] == "1.2-1"


def test_test_set_is_unheard_utterances_of_heard_voices_and_says_so(source):
    ids = [{u.id for u in source.split(s)} for s in ("train", "val", "test")]
    assert [len(x) for x in ids] == [21, 3, 6] and len(set().union(*ids)) == 30
    assert {u.speaker for u in source.split("test")} == {"Allison Smith", "ivrvoice.ru"}
    assert source.note == "test set: unheard utterances of 2 voices that were heard in training"


def test_one_person_in_two_languages_is_never_mixed_with_herself(source):
    mixtures = fixed_set(
        source, "train", n_mixtures=60, n_src=2, gain_db=2.5, min_seconds=0.5, max_seconds=None,
        seed=0,
    )  # fmt: skip
    packages = {frozenset(u.split("/")[0] for u in m.utterances) for m in mixtures.mixtures}
    assert packages == {frozenset((ENGLISH, RUSSIAN)), frozenset((SPANISH, RUSSIAN))}


def test_same_packages_are_the_same_manifest(source, tmp_path):
    shutil.copytree(tmp_path / "root", tmp_path / "copy")
    versions = source.report["packages"]
    again = read_prompts(tmp_path / "copy", versions, sample_rate=8000, cache=tmp_path / "other")
    assert again.manifest_hash == source.manifest_hash


def test_every_package_names_its_voice_and_sex():
    assert {sex for _, sex in VOICES.values()} == {"f", "m"}
    assert len({voice for voice, _ in VOICES.values()}) == 5
