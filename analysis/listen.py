"""Sounds that an evaluation kept, as a page can play them: mixture, sources, and every depth.

`tisdiss/evaluate.py` keeps a few mixtures: audio/<mixture>/{mixture,source1,re3_est1,...}.wav.
Speech of your own folder or of a licensed corpus is not passed on unless you say so.
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
from tisdiss.records.files import DamagedError

FREE = {
    "prompts": (
        "Studio prompts of Debian's asterisk-core-sounds (Allison Smith, June Wallack, Carlo Flora "
        "under CC BY-SA 3.0; Maxim Topal, ivrvoice.ru, under CC BY 3.0) and of "
        "asterisk-prompt-it-menardi, made by Marco Menardi and Paola Dal Zot, "
        "http://www.voip.ammdomus.it (CC BY-SA 3.0). Changed: cut, mixed and separated; to be "
        "passed on under CC BY-SA 3.0."
    ),
    "synthetic": "Generated sounds, no speech.",
    "librispeech": "LibriSpeech (V. Panayotov, CC BY 4.0), mixed and separated.",
}
"""Sources (`data.source`) of which sounds may be passed on, and whom to thank."""

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


def credit(frames: StudyFrames) -> str | None:
    """Whom to thank for the sounds of a study; None where they may not be passed on.

    Only the mixtures that are scored are heard, whatever the models were trained on.
    """
    sources = {str(corpus.get("data_source")) for _, corpus in corpora(frames.plan)}
    if not sources <= set(FREE):
        return None
    return " ".join(FREE[source] for source in sorted(sources))


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
