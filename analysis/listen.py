"""Sounds that an evaluation kept, as a page can play them: mixture, sources, and every depth.

`tisdiss/evaluate.py` keeps a few mixtures: audio/<mixture>/{mixture,source1,re3_est1,...}.wav.
What its licence does not allow is not passed on unless you say so (`tisdiss/data/licence.py`).
"""

import base64
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from tisdiss.analysis.frames import StudyFrames, corpora
from tisdiss.data.licence import Licence, licences
from tisdiss.records.files import DamagedError

_ESTIMATE = re.compile(r"re(\d+)_est(\d+)")


@dataclass(frozen=True)
class Heard:
    """One mixture: what was heard, and the score of each depth and speaker."""

    mixture: str
    title: str
    """ "best", "median" or "worst" of those kept."""
    rate: int
    """Samples a second."""
    sounds: dict[str, str]
    """Names such as "mixture", "source1", "re3_est1" to keys of the page's sounds."""
    depths: list[int]
    speakers: list[str]
    scores: dict[str, list[float | None]]
    """Of each depth, one per speaker, in dB."""


def heard(
    frames: StudyFrames, row: str, runs_dir: Path, metric: str
) -> tuple[list[Heard], dict[str, str]]:
    """What the first run of a row kept, best first, and the sounds themselves by key.

    A sound is FLAC in base64; equal sounds have one key, also across studies. Both are empty where
    no estimate was kept.
    """
    run = frames.runs[(frames.runs["row"] == row) & frames.runs["scored"]].iloc[0]
    place = Path(runs_dir) / run["identity"][:10] / "evaluations" / run["evaluation"][:10] / "audio"
    scores = frames.scores[frames.scores["identity"] == run["identity"]]
    scores = scores[scores["row"] == row]
    order = scores[scores["n_re"] == scores["n_re_train"]].groupby("mixture_id")[metric].mean()
    kept = {path.name: path for path in sorted(place.glob("*")) if path.is_dir()}
    order = order[order.index.isin(list(kept))].sort_values(ascending=False, kind="stable")
    found: list[Heard] = []
    sounds: dict[str, str] = {}
    for at, mixture in enumerate(order.index):
        files = {path.stem: _flac(path) for path in sorted(kept[mixture].glob("*.wav"))}
        if not any(map(_ESTIMATE.fullmatch, files)):
            continue
        keys = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in files.items()}
        sounds |= {keys[name]: base64.b64encode(data).decode() for name, data in files.items()}
        part = scores[scores["mixture_id"] == mixture]
        rate = soundfile.info(kept[mixture] / "mixture.wav").samplerate
        found.append(_heard(mixture, _title(at, len(order)), rate, keys, part, metric))
    return found, sounds


def licences_of(frames: StudyFrames) -> list[Licence]:
    """Of the mixtures that are scored, each once: only they are heard, whatever was trained on."""
    found = [
        licence
        for _, corpus in corpora(frames.plan)
        for licence in licences(
            corpus.get("data_source"), corpus.get("data_condition"), corpus.get("data_noise")
        )
    ]
    return list(dict.fromkeys(found))


def _heard(
    mixture: str,
    title: str,
    rate: int,
    keys: dict[str, str],
    scores: pd.DataFrame,
    metric: str,
) -> Heard:
    depths = sorted({int(match[1]) for match in map(_ESTIMATE.fullmatch, keys) if match})
    cast = scores.drop_duplicates("slot").sort_values("slot")
    by_depth = {
        str(n_re): [_number(value) for value in _at(scores, n_re)[metric]] for n_re in depths
    }
    speakers = [
        f"{speaker} ({sex})" if sex else str(speaker)
        for speaker, sex in zip(cast["speaker"], cast["sex"].fillna(""), strict=True)
    ]
    return Heard(mixture, title, rate, keys, depths, speakers, by_depth)


def _at(scores: pd.DataFrame, n_re: int) -> pd.DataFrame:
    return scores[scores["n_re"] == n_re].sort_values("slot")


def _title(at: int, count: int) -> str:
    """Best, worst, and what is between them."""
    if count == 1:
        return "the one kept"
    return {0: "best", count - 1: "worst"}.get(at, "median" if count == 3 else f"{at + 1}th")


def _flac(path: Path) -> bytes:
    """The sound without loss, about half the size."""
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise DamagedError(f"{path.name} of {path.parent.name} cannot be read") from error
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _number(value: Any) -> float | None:
    return round(float(value), 2) if np.isfinite(value) else None
