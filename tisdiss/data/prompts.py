"""Real studio recordings at 8 kHz: the voice prompts that Debian ships for Asterisk.

Each package has one voice that reads some 500 prompts. They are fetched with `apt-get download` and
unpacked with `dpkg-deb -x` into the cache, which needs no root. Splits are utterance-disjoint: with
five voices, the test set has new utterances of training voices, and `Source.note` says so.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tisdiss.data.audio import SUFFIXES
from tisdiss.data.decoded import locked, open_store
from tisdiss.data.source import Listed, Source, Tally, build
from tisdiss.data.speakers import LAYOUT
from tisdiss.machine.progress import Progress, silent

MIN_SECONDS = 0.7
SOUNDS = "usr/share/asterisk/sounds"
VOICES = {  # package: (voice, sex), from its copyright file and folder name
    "asterisk-core-sounds-en-wav": ("Allison Smith", "f"),
    "asterisk-core-sounds-es-wav": ("Allison Smith", "f"),  # the same person, in Spanish
    "asterisk-core-sounds-fr-wav": ("June Wallack", "f"),
    "asterisk-core-sounds-it-wav": ("Carlo Flora", "m"),
    "asterisk-core-sounds-ru-wav": ("ivrvoice.ru", "f"),
    "asterisk-prompt-it-menardi-wav": ("Paola Dal Zot", "f"),
}
NO_SPEECH = frozenset(
    {"beep", "beeperr", "ascending-2tone", "descending-2tone", "confbridge-join"}
    | {"confbridge-leave", "tt-monkeys"}
)
ANOTHER_CUT = frozenset(  # by cross-correlation: for some voice, the recording is part of another
    {"auth-thankyou", "conf-lockednow", "conf-usermenu", "confbridge-binaural-on", "spy-iax2"}
    | {"confbridge-mute-out", "dir-usingkeypad", "dir-welcome", "pbx-invalid", "playback_mode"}
    | {"queue-seconds", "second-time", "vm-incorrect", "vm-message", "vm-minutes", "vm-nuovi"}
    | {"vm-pls-try-again", "vm-tempgreeting", "vm-torerecord"}
)
ELSEWHERE = f"Or set SPEECH=/path/to/speakers and use the source 'folder'.\n{LAYOUT}"


def prompts(*, sample_rate: int, cache: Path, on_progress: Progress = silent) -> Source:
    """The prompts of all voices, fetched into the cache unless they are there."""
    root = (cache / "prompts").resolve()
    versions = fetch(tuple(VOICES), root)
    return read_prompts(
        root, versions, sample_rate=sample_rate, cache=cache, on_progress=on_progress
    )


def read_prompts(
    root: Path,
    versions: Mapping[str, str],
    *,
    sample_rate: int,
    cache: Path,
    on_progress: Progress = silent,
) -> Source:
    """The source of these unpacked packages (name -> version) below `root`."""
    refused, listed = Tally(), []
    for package in sorted(versions):
        voice, sex = VOICES[package]
        for path in sorted((root / package).rglob("*")):
            if path.is_symlink() or path.suffix.lower() not in SUFFIXES:
                continue
            name = path.relative_to(root).as_posix()
            if rule := _rule(PurePosixPath(name)):
                refused.add(rule, name)
            else:
                listed.append(Listed(name, voice, sex=sex))
    names = [item.id for item in listed]
    store = open_store(
        root,
        names,
        sample_rate=sample_rate,
        cache=cache,
        min_seconds=MIN_SECONDS,
        on_progress=on_progress,
    )
    source = build("prompts", listed, store, refused, sample_rate=sample_rate, by_speaker=False)
    source.report["packages"] = dict(versions)
    return source


def _rule(name: PurePosixPath) -> str:
    if name.parent.name == "silence":
        return "silence by name"
    if name.stem in NO_SPEECH:
        return "a tone or noise by name, no speech"
    return "part of another prompt, so not unheard" if name.stem in ANOTHER_CUT else ""


def fetch(packages: Sequence[str], root: Path) -> dict[str, str]:
    """The version of each package, unpacked below `root` unless it is there.

    Packages that the distribution lacks are left out; ValueError if fewer than two voices remain.
    """
    root.mkdir(parents=True, exist_ok=True)
    unknown: list[str] = []
    with locked(root / ".lock"):
        missing = [
            p for p in packages if not (_version(root, p).exists() or _lack(root, p).exists())
        ]
        if missing:
            _need_tools()
            print(
                f"note: fetching {', '.join(missing)} into {root}, about {_MEGABYTES} MB each",
                file=sys.stderr,
            )
            unknown = _download(missing, root / ".download")
            for archive in sorted((root / ".download").glob("*.deb")):
                unpack(archive, root)
            shutil.rmtree(root / ".download")
    files = {name: _version(root, name) for name in packages}
    versions = {name: path.read_text().strip() for name, path in files.items() if path.exists()}
    if len({VOICES[name][0] for name in versions}) < 2:
        raise ValueError(
            f"this system's package sources have none or one of {', '.join(packages)}; two voices"
            f" are needed. Add Debian's main section to them. {ELSEWHERE}"
        )
    for package in unknown:
        _lack(root, package).touch()
    return versions


_MEGABYTES = 20
"""Size of a package, rounded."""


def _version(root: Path, package: str) -> Path:
    """The file that is written last: a package with this file is complete."""
    return root / package / "version"


def _lack(root: Path, package: str) -> Path:
    """The mark that the distribution lacks the package, so that it is requested only once."""
    return root / f".no-{package}"


def _need_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ValueError(
                f"the source 'prompts' needs {tool} of Debian or a derivative, which is not"
                f" installed. {ELSEWHERE}"
            )


def _download(packages: Sequence[str], folder: Path) -> list[str]:
    """Fetch the packages' archives by the system's package lists, else by fresh private lists.

    Returns the packages that the distribution lacks; ValueError if the network fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not _apt(["download", *packages], folder).returncode:
        return []
    lists = folder / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (lists / part).mkdir(parents=True)
    private = ["-o", f"Dir::State::Lists={lists}/lists", "-o", f"Dir::Cache={lists}/cache"]
    updated = _apt([*private, "update"], folder)  # exits with 0 even if it fails; stderr has why
    unknown = []
    for package in packages:
        done = _apt([*private, "download", package], folder)
        if done.returncode and (_reason(updated.stderr) or not _unknown(done.stderr)):
            reason = _reason(updated.stderr) or _last_line(done.stderr)
            raise ValueError(
                f"apt-get could not fetch {package}: {reason}"
                f"\nCheck the network and try again. {ELSEWHERE}"
            )
        unknown += [package] if done.returncode else []
    return unknown


def _apt(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30"]
    return subprocess.run(
        ["apt-get", *options, *arguments],
        cwd=folder,
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _unknown(stderr: str) -> bool:
    return "Unable to locate package" in stderr or "has no installation candidate" in stderr


def _reason(stderr: str) -> str:
    """Why a package list could not be fetched; "" if all were."""
    lines = (line.partition(": ") for line in stderr.splitlines())
    return next((text for kind, _, text in lines if kind == "E" or "Failed to fetch" in text), "")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("E:")] or text.splitlines()
    return lines[-1] if lines else "no message"


def unpack(archive: Path, root: Path) -> None:
    """Put the archive's sounds, copyright file and version into `root/<package>`, or nothing."""
    package = _field(archive, "Package")
    new = root / f".new-{package}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    done = subprocess.run(
        ["dpkg-deb", "-x", archive, new], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{archive.name} cannot be unpacked: {_last_line(done.stderr)}")
    kept = new / "kept"
    kept.mkdir()
    for voice in sorted((new / SOUNDS).iterdir()):
        voice.rename(kept / voice.name)
    shutil.copy(new / "usr/share/doc" / package / "copyright", kept / "copyright")
    (kept / "version").write_text(_field(archive, "Version") + "\n")
    shutil.rmtree(root / package, ignore_errors=True)
    kept.rename(root / package)
    shutil.rmtree(new)


def _field(archive: Path, name: str) -> str:
    done = subprocess.run(
        ["dpkg-deb", "-f", str(archive), name], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{archive.name} is not a Debian package: {_last_line(done.stderr)}")
    return done.stdout.strip()
