"""Pack a folder of speakers into a few archives for a machine that is reached in parcels.

    python scripts/pack_speech.py SPEECH .carry --mib 50

writes .carry/1/speech.tar, .carry/2/speech.tar, ... each at most so large. `scripts/gpu_run.sh`
unpacks whatever archives it finds.
"""

import argparse
import io
import tarfile
from pathlib import Path

from tisdiss.records.files import write_atomic

HEADER_BYTES = 1536
"""What a file costs in a tar archive beside its contents, rounded up."""


def parcels(root: Path, limit_bytes: int) -> list[list[Path]]:
    """Files of the folder in order, cut into runs of at most `limit_bytes`."""
    groups: list[list[Path]] = [[]]
    filled = 0
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        size = path.stat().st_size + HEADER_BYTES
        if size > limit_bytes:
            raise ValueError(f"{path}: {size} bytes do not fit into a parcel of {limit_bytes}")
        if filled + size > limit_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(path)
        filled += size
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--mib", type=float, default=50.0)
    given = parser.parse_args()
    for number, files in enumerate(parcels(given.speech, round(given.mib * 2**20)), start=1):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in files:
                archive.add(path, path.relative_to(given.speech))
        target = given.target / str(number) / "speech.tar"
        write_atomic(target, buffer.getvalue())
        print(f"{target}: {len(files)} files, {len(buffer.getvalue()) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
