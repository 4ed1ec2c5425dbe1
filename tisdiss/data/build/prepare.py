"""Builds a corpus from its speech, in parallel; a rerun continues.

`wsj0_mix.py` and `libri2mix.py` define a mixture; this module writes its files, sources first and
the mixture last, each in one step. A mixture whose file exists is therefore complete, and a kill or
a full disk costs only the mixtures in work.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from tisdiss.data.build import libri2mix, wsj0_mix
from tisdiss.data.decoded import is_full, locked
from tisdiss.data.layouts import WSJ0_2MIX, Layout, Part, Roles, layout_of, stems
from tisdiss.data.walk import files_below
from tisdiss.machine.progress import Progress, silent
from tisdiss.records.files import write_atomic
from tisdiss.sound.decode import Refused

SETTINGS = "prepared.json"
SHOWN = 3
AHEAD = 32  # mixtures in work
WV2 = " A .wv2 does not count: it is the second microphone, with 1-2 dB worse results"
SECONDS = 6.0  # of a mixture, to estimate the space that is needed

Signals = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Job:
    """One mixture to make: the place of its row, its folder, name and function."""

    place: str
    folder: str
    name: str
    make: Callable[[], Signals]


@dataclass(frozen=True)
class Recipe:
    """The parts to make, and the folders to make them from; `noise` only for noisy mixtures."""

    root: Path
    lists: Path
    noise: Path | None
    parts: list[Part]
    sample_rate: int
    mode: str
    n_src: int


@dataclass(frozen=True)
class Prepared:
    """The folder of the corpus, and how many mixtures were made now and before."""

    folder: Path
    made: int
    present: int


def prepare(
    corpus: str,
    root: Path,
    out: Path,
    *,
    lists: Path,
    noise: Path | None = None,
    condition: str | None = None,
    parts: tuple[str, ...] | None = None,
    sample_rate: int = 8000,
    mode: Literal["min", "max"] = "min",
    n_src: int = 2,
    workers: int = 1,
    on_progress: Progress = silent,
) -> Prepared:
    """Write "wsj0-2mix" or "libri2mix" below `out`, from the speech at `root`.

    `lists` is the folder of the official lists, `parts` names some of the corpus' folders (None:
    all for which there is a list), `noise` is the folder of WHAM!'s noise, for condition "noisy".
    """
    layout = layout_of(corpus)
    if corpus not in RECIPES:
        raise ValueError(
            f"{layout.title} is made by its own scripts, and their output is read in place; check"
            f" it with `tisdiss data check {corpus}`"
        )
    roles = layout.roles(layout.condition(condition), n_src)
    if roles.noise and noise is None:
        raise ValueError(f"condition={condition!r} needs WHAM!'s noise: name its folder (--noise)")
    for folder in (Path(root), Path(lists), *((Path(noise),) if noise else ())):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
    home = Path(out) / _place(layout, sample_rate, mode, n_src)
    chosen = _chosen(layout, parts, Path(lists), n_src)
    settings = {
        "corpus": corpus,
        "noisy": bool(roles.noise),
        "sample_rate": sample_rate,
        "mode": mode,
        "n_src": n_src,
    }
    _check_ours(home)
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / ".lock"):
        _agree(home / SETTINGS, settings)
        for left in home.rglob(".*.tmp"):
            left.unlink(missing_ok=True)
        wham = Path(noise) if noise and roles.noise else None
        recipe = Recipe(Path(root), Path(lists), wham, chosen, sample_rate, mode, n_src)
        jobs = RECIPES[corpus](recipe)
        files = _files(layout, roles)
        return _run(home, jobs, roles.mixture, files, sample_rate, workers, on_progress)


def _files(layout: Layout, roles: Roles) -> tuple[str, ...]:
    """The folders with a file per mixture; noisy mixtures come with the clean ones."""
    noisy = (roles.noise, layout.mixtures["clean"]) if roles.noise else ()
    return (*roles.needed, *noisy)


def _place(layout: Layout, sample_rate: int, mode: str, n_src: int) -> str:
    """The folder of the parts, as the corpus' own scripts name it."""
    name = layout.folders[0] if layout is WSJ0_2MIX and n_src == 2 else layout.folders[1]
    return name.format(k=sample_rate // 1000, n=n_src).replace("/min", f"/{mode}")


def _chosen(layout: Layout, parts: tuple[str, ...] | None, lists: Path, n_src: int) -> list[Part]:
    known = {part.folder: part for part in layout.parts}
    for name in parts or ():
        if name not in known:
            raise ValueError(f"{layout.title} has no part {name!r}; it has {', '.join(known)}")
    if parts:
        return [known[name] for name in parts]
    names = {path.name for path in files_below(lists)}
    listed = [part for part in layout.parts if _list_name(layout, part, n_src) in names]
    if not listed:
        official = ", ".join(_list_name(layout, p, n_src) for p in layout.parts)
        raise ValueError(
            f"{lists} has none of the official lists {official}; they come with {layout.scripts}"
        )
    return listed


def _list_name(layout: Layout, part: Part, n_src: int) -> str:
    if layout is WSJ0_2MIX:
        return f"mix_{n_src}_spk_{part.folder}.txt"
    return f"libri{n_src}mix_{libri2mix.LIST_OF[part.folder]}.csv"


def _check_ours(home: Path) -> None:
    """Raise ValueError if the folder has files that no earlier call wrote."""
    files = home.glob("[!.]*") if home.is_dir() else ()
    if any(files) and not (home / SETTINGS).exists():
        raise ValueError(
            f"{home} has files, but no {SETTINGS} of an earlier call: choose another folder, so "
            "that nothing of yours is replaced"
        )


def _agree(path: Path, settings: dict) -> None:
    """Save the settings; ValueError if the folder was started with others."""
    if path.exists():
        earlier = json.loads(path.read_text())
        for key, value in settings.items():
            if earlier.get(key) != value:
                raise ValueError(
                    f"{path.parent} was started with {key}={earlier.get(key)!r}, not {value!r};"
                    " choose another folder, or remove this one"
                )
    else:
        write_atomic(path, json.dumps(settings, indent=1))


def _wsj0_jobs(recipe: Recipe) -> list[Job]:
    utterances = wsj0_mix.find_utterances(recipe.root)
    levels = wsj0_mix.read_levels(recipe.lists)
    jobs = []
    for part in recipe.parts:
        rows = wsj0_mix.read_list(recipe.lists, part, levels, recipe.n_src)
        absent = wsj0_mix.missing(rows, utterances)
        _need_all(recipe.root, len(rows), [f"{place}: {name}" for place, name in absent], WV2)
        for row in rows:
            make = partial(wsj0_mix.mixture_of, row, utterances, recipe.sample_rate, recipe.mode)
            jobs.append(Job(row.place, part.folder, row.name, make))
    return jobs


def _libri_jobs(recipe: Recipe) -> list[Job]:
    inner, noise, n_src = recipe.root / "LibriSpeech", recipe.noise, recipe.n_src
    speech = inner if inner.is_dir() else recipe.root
    jobs = []
    for part in recipe.parts:
        rows = libri2mix.read_list(recipe.lists, part, noisy=noise is not None, n_src=n_src)
        absent = libri2mix.missing(rows, speech, noise, n_src)
        _need_all(recipe.root, len(rows), [f"{place}: {path}" for place, path in absent])
        for row in rows:
            make = partial(
                libri2mix.mixture_of, row, speech, noise, recipe.sample_rate, recipe.mode, n_src
            )
            jobs.append(Job(row.place, part.folder, row.name, make))
    return jobs


RECIPES = {"wsj0-2mix": _wsj0_jobs, "libri2mix": _libri_jobs}


def _need_all(root: Path, rows: int, absent: list[str], note: str = "") -> None:
    if absent:
        raise ValueError(
            f"{root}: recordings of {len(absent)} of {rows} rows are missing, such as\n"
            + "\n".join(absent[:SHOWN])
            + f"\nGive the whole corpus' folder, or the parts that you have: --part NAME.{note}"
        )


def _run(
    home: Path,
    jobs: list[Job],
    mixture: str,
    files: tuple[str, ...],
    rate: int,
    workers: int,
    on_progress: Progress,
) -> Prepared:
    """Make the missing mixtures; a ValueError at the end gives file and row of failures."""
    present = {part: _present(home / part, files) for part in {j.folder for j in jobs}}
    pending = [job for job in jobs if job.name not in present[job.folder]]
    make = partial(_make, home, rate, mixture)
    _need_space(home, len(pending), rate, len(files))
    done, bad = len(jobs) - len(pending), []
    on_progress(done, len(jobs))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for first in range(0, len(pending), AHEAD):
            for fault in pool.map(make, pending[first : first + AHEAD]):
                bad += [fault] if fault else []
                done += 1
                on_progress(done, len(jobs))
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(jobs)} mixtures could not be made; the others are complete."
            " Replace these files and run again:\n" + "\n".join(bad[:SHOWN])
        )
    return Prepared(home, len(pending), len(jobs) - len(pending))


def _present(folder: Path, files: tuple[str, ...]) -> set[str]:
    """The mixtures with all their files."""
    return set.intersection(*(set(stems(folder / name)) for name in files))


def _make(home: Path, rate: int, mixture: str, job: Job) -> str:
    """Write one mixture, its own file last; returns "", or why it cannot be made."""
    try:
        signals = dict(job.make())
    except (Refused, OSError) as error:
        return f"{job.place}: {error}"
    for role in sorted(signals, key=lambda role: (role == mixture, role)):
        path = home / job.folder / role / f"{job.name}.wav"
        try:
            write_atomic(path, _wav(signals[role], rate))
        except OSError as error:
            advice = "free some space and run again" if is_full(error) else "run again"
            raise ValueError(
                f"{path} cannot be written ({error.strerror}); {advice} to continue"
            ) from error
    return ""


def _wav(signal: np.ndarray, rate: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _need_space(home: Path, mixtures: int, rate: int, files: int) -> None:
    needed = int(mixtures * files * SECONDS * rate * 2)
    free = shutil.disk_usage(home).free
    if needed > free:
        raise ValueError(
            f"{home}: about {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free;"
            " free some space, or choose another folder"
        )
