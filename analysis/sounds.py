"""Sounds of an evaluation for the page: mixture, sources, and the estimates at every depth.

`tisdiss/evaluate.py` keeps a few mixtures: audio/<mixture>/{mixture,source1,re3_est1,...}.wav.
The page checks their licence (`tisdiss/records/licence.py`).
"""

import base64
import hashlib
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from tisdiss.analysis.frames import StudyFrames
from tisdiss.records.files import DamagedError
from tisdiss.records.licence import Licence, licences
from tisdiss.records.run_folder import RunFolder

_ESTIMATE = re.compile(r"re(\d+)_est(\d+)")


@dataclass(frozen=True)
class Heard:
    """One mixture as separated by one row: its sounds, and the score at each depth."""

    mixture: str
    title: str
    rate: int
    """Samples per second."""
    sounds: dict[str, str]
    """Keys of the page's sounds by name, such as "mixture", "source1", "re3_est1"."""
    depths: list[int]
    """N_re of the estimates; only 0 for a model without N_re."""
    speakers: list[str]
    scores: dict[str, list[float | None]]
    """Scores by depth, one per speaker, in dB."""


def heard(
    frames: StudyFrames,
    row: str,
    runs_dir: Path,
    metric: str,
    depths: Collection[int] | None = None,
) -> tuple[list[Heard], dict[str, str]]:
    """The mixtures that the first run of a row kept, longest first, and their sounds by key.

    A sound is FLAC in base64; equal sounds have the same key, also across rows and studies.
    `depths` are the depths to include, None for all. Both results are empty without estimates.
    """
    run = frames.runs[(frames.runs["row"] == row) & frames.runs["scored"]].iloc[0]
    place = RunFolder.of(runs_dir, run["identity"]).evaluation(run["evaluation"]) / "audio"
    scores = frames.scores[frames.scores["identity"] == run["identity"]]
    scores = scores[scores["row"] == row]
    mixtures = set(scores["mixture_id"])
    folders = {path.name: path for path in sorted(place.glob("*")) if path.name in mixtures}
    players: list[Heard] = []
    sounds: dict[str, str] = {}
    for mixture, folder in sorted(folders.items(), key=_longest_first):
        paths = {path.stem: path for path in sorted(folder.glob("*.wav"))}
        files = {name: _flac(path) for name, path in paths.items() if _is_shown(name, depths)}
        if not any(map(_ESTIMATE.fullmatch, files)):
            continue
        keys = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in files.items()}
        sounds |= {keys[name]: base64.b64encode(data).decode() for name, data in files.items()}
        part = scores[scores["mixture_id"] == mixture]
        players.append(_heard(len(players) + 1, folder / "mixture.wav", keys, part, metric))
    return players, sounds


def _longest_first(item: tuple[str, Path]) -> tuple[int, str]:
    """The sort key of a mixture's id and folder."""
    mixture, folder = item
    return -_info(folder / "mixture.wav").frames, mixture


def _is_shown(name: str, depths: Collection[int] | None) -> bool:
    estimate = _ESTIMATE.fullmatch(name)
    return depths is None or estimate is None or int(estimate[1]) in depths


def licences_of(frames: StudyFrames) -> list[Licence]:
    """The licences of the scored mixtures, each once; the page has no training speech."""
    of_corpora = [
        licence
        for corpus in frames.plan.scored_on.values()
        for licence in licences(corpus.data_source, corpus.data_condition, corpus.data_noise)
    ]
    return list(dict.fromkeys(of_corpora))


def _heard(
    number: int, sound: Path, keys: dict[str, str], scores: pd.DataFrame, metric: str
) -> Heard:
    depths = sorted({int(match[1]) for match in map(_ESTIMATE.fullmatch, keys) if match})
    cast = scores.drop_duplicates("slot").sort_values("slot")
    by_depth = {
        str(n_re): [_number(value) for value in _at(scores, n_re)[metric]] for n_re in depths
    }
    sexes = cast["sex"].fillna("")
    speakers = [
        f"{speaker} ({sex})" if sex else str(speaker)
        for speaker, sex in zip(cast["speaker"], sexes, strict=True)
    ]
    info = _info(sound)
    lasts = f"{number}: {info.duration:.1f} s"
    title = ", ".join(filter(None, [lasts, " + ".join(filter(None, sexes))]))
    mixture = str(scores["mixture_id"].iloc[0])
    return Heard(mixture, title, info.samplerate, keys, depths, speakers, by_depth)


def _at(scores: pd.DataFrame, n_re: int) -> pd.DataFrame:
    return scores[scores["n_re"] == n_re].sort_values("slot")


def _info(path: Path) -> Any:
    try:
        return soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> DamagedError:
    return DamagedError(f"{path.name} of {path.parent.name} cannot be read")


def _flac(path: Path) -> bytes:
    """The sound as FLAC: lossless, about half the size."""
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path) from error
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _number(value: Any) -> float | None:
    return round(float(value), 2) if np.isfinite(value) else None
