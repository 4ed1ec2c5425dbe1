"""`tisdiss data download librispeech dev-clean`: fetches, checks and unpacks a part.

The archive is written to a `.part` file, which a later call continues. A fetched archive is
unpacked only after its SHA-256 was checked, and nothing is unpacked outside the folder.
"""

import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tisdiss.data.decoded import is_full, locked
from tisdiss.machine.progress import Progress, silent
from tisdiss.records.files import sha256_of_file

ADDRESS = "https://www.openslr.org/resources/12"
DIGESTS = {
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}
TOP = "LibriSpeech"
PIECE = 2**20
SECONDS = 30.0
MOST_FILES = 1_000_000
MOST_GROWTH = 4
"""Limit on content over archive size, because FLAC hardly shrinks when compressed."""


def download(
    corpus: str,
    part: str,
    folder: Path,
    *,
    address: str = ADDRESS,
    digests: Mapping[str, str] = DIGESTS,
    keep_archive: bool = False,
    on_progress: Progress = silent,
) -> Path:
    """`folder`/LibriSpeech/`part`, fetched unless it is there. Progress is in bytes.

    The archive is removed after unpacking, unless it was there before. An archive that was there is
    not checked.
    """
    if corpus != "librispeech":
        raise ValueError(
            f"{corpus!r} cannot be downloaded, only librispeech; others need a licence"
        )
    if part not in digests:
        raise ValueError(f"librispeech has no part {part!r}; it has {', '.join(digests)}")
    folder = Path(folder)
    ready = folder / TOP / part
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{part}.lock"):
        if ready.is_dir():
            return ready
        archive = folder / f"{part}.tar.gz"
        was_there = archive.exists()
        if not was_there:
            fetch(f"{address}/{archive.name}", archive, digests[part], on_progress)
        unpack(archive, folder, part)
        if not (keep_archive or was_there):
            archive.unlink()
    return ready


def fetch(url: str, path: Path, digest: str, on_progress: Progress) -> None:
    """Fetch the file with this SHA-256, continuing an earlier transfer."""
    partial = path.with_name(path.name + ".part")
    for fresh in (False, True):
        if fresh:
            partial.unlink(missing_ok=True)
        resumed = partial.exists()
        _receive(url, partial, on_progress)
        actual = sha256_of_file(partial)
        if actual == digest:
            os.replace(partial, path)
            return
        if not resumed:
            break
    partial.unlink()
    raise ValueError(
        f"{url}: the file has SHA-256 {actual[:16]}..., not {digest[:16]}..., and was deleted. Try"
        f" again, or fetch it by other means and put it at {path}"
    )


def _receive(url: str, partial: Path, on_progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            resumed = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            have = have if resumed else 0
            length = reply.headers.get("Content-Length")
            total = have + int(length) if length else 0
            _need_space(partial, total - have)
            with partial.open("ab" if resumed else "wb") as file:
                while piece := reply.read(PIECE):
                    file.write(piece)
                    have += len(piece)
                    on_progress(have, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to fetch; the digest decides
            return
        raise ValueError(f"{url}: the server says {error.code} {error.reason}") from error
    except OSError as error:
        raise ValueError(
            f"{url}: the transfer broke after {have} bytes ({error}); run again to continue"
        ) from error
    if total and have < total:
        raise ValueError(
            f"{url}: the transfer broke after {have} of {total} bytes; run again to continue"
        )


def _need_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise ValueError(
            f"{path.parent}: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free;"
            " free some space, or choose another folder"
        )


def unpack(archive: Path, folder: Path, part: str) -> None:
    """The part's folder and the speakers' table below `folder`/LibriSpeech, whole or not at all."""
    new = folder / f".new-{part}"
    shutil.rmtree(new, ignore_errors=True)
    _need_space(archive, archive.stat().st_size)
    new.mkdir(parents=True)
    try:
        _extract(archive, new)
        inside = new / TOP / part
        if not inside.is_dir():
            raise ValueError(f"{archive} has no {TOP}/{part}; remove it and run again")
        (folder / TOP).mkdir(exist_ok=True)
        for table in sorted((new / TOP).glob("*.TXT")):
            if not (folder / TOP / table.name).exists():
                table.rename(folder / TOP / table.name)
        inside.rename(folder / TOP / part)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _extract(archive: Path, new: Path) -> None:
    budget, count = MOST_GROWTH * archive.stat().st_size + PIECE, 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or name.parts[:1] != (TOP,):
                    raise ValueError(
                        f"{archive}: {member.name!r} leaves {TOP}; nothing was unpacked"
                    )
                if not (member.isreg() or member.isdir()):
                    raise ValueError(f"{archive}: {member.name!r} is not a plain file or folder")
                budget, count = budget - member.size, count + 1
                if budget < 0 or count > MOST_FILES:
                    raise ValueError(f"{archive}: far more content than the part has; remove it")
                tar.extract(member, new, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and is_full(error):
            raise ValueError(f"{new.parent}: no space to unpack {archive}; free some") from error
        raise ValueError(
            f"{archive} cannot be unpacked: {error}; remove it and try again"
        ) from error
