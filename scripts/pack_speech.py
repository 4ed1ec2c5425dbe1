"""Pack a folder of speakers into archives of limited size, for transfer to a GPU machine.

    python scripts/pack_speech.py SPEECH .carry --mib 50

writes .carry/1/speech.tar, .carry/2/speech.tar, ... of at most 50 MiB each. `scripts/gpu_run.sh`
unpacks all archives that it finds.
"""

import argparse
import io
import tarfile
from pathlib import Path

from tisdiss.records.files import write_atomic

HEADER_BYTES = 1536
"""Overhead of a file in a tar archive, rounded up."""


def parcels(root: Path, limit_bytes: int) -> list[list[Path]]:
    """The files of a folder in order, in groups of at most `limit_bytes`."""
    groups: list[list[Path]] = [[]]
    used = 0
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        size = path.stat().st_size + HEADER_BYTES
        if size > limit_bytes:
            raise ValueError(f"{path}: {size} bytes exceed the archive limit of {limit_bytes}")
        if used + size > limit_bytes:
            groups.append([])
            used = 0
        groups[-1].append(path)
        used += size
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--mib", type=float, default=50.0)
    options = parser.parse_args()
    for number, files in enumerate(parcels(options.speech, round(options.mib * 2**20)), start=1):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in files:
                archive.add(path, path.relative_to(options.speech))
        target = options.target / str(number) / "speech.tar"
        write_atomic(target, buffer.getvalue())
        print(f"{target}: {len(files)} files, {len(buffer.getvalue()) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
