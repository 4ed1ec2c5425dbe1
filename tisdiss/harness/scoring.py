"""A study of one model whose weights are given: what `tisdiss evaluate` plans, runs and reports.

It has no file. Its rows are the model at one or more N_sep, or the model in place of a row of
another study beside the numbers that it quotes. Its profile is made of the corpus that was asked
for, and everything else is as for any study with a row of `weights:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import PrivateAttr

from tisdiss.config import AnyModel
from tisdiss.machine.folders import HOME
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import DamagedError, JsonObject
from tisdiss.records.identity import short
from tisdiss.records.names import QUALITY
from tisdiss.records.problems import nearest
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.run_record import FINAL
from tisdiss.speech_sources import SOURCES
from tisdiss.study.load import find_studies
from tisdiss.study.overrides import validated
from tisdiss.study.profiles import FilePart, Profile, WeightsFrom, get_profile
from tisdiss.study.resolve import resolve_data
from tisdiss.study.shipped_weights import (
    read_model,
    read_shipped,
    same_tensors,
    weights_path,
)
from tisdiss.study.words import Row, Study

DEPTHS = tuple(range(1, 11))
"""N_re that are scored by default, as in the paper's figures."""
WEIGHTS = "model"
"""The name of the weights in the profile."""


PAPER = "paper"
"""The profile whose scores are compared with the paper's."""
_STORED = [name for name, source in SOURCES.items() if source.stored]
_SCORED = ("data.min_seconds", "data.max_seconds", "data.test_mixtures")
"""The settings of a profile that determine what is scored."""


class Scoring(Study):
    """A study that brings its own profile along."""

    _size: Profile = PrivateAttr()

    def at(self, profile: str) -> Profile:
        return self._size


@dataclass(frozen=True)
class Asked:
    """The scores of a model that are asked for."""

    file: str
    """A model file of ours: absolute, or relative to the project or the package."""
    corpus: str
    """The name of a speech source."""
    profile: str | None = None
    """Whose mixtures to score; None: `size`."""
    mixtures: int | None = None
    """Upper limit of mixtures; None: the profile's."""
    n_re: tuple[int, ...] = DEPTHS
    n_sep: tuple[int, ...] = ()
    """One row each; () is the trained N_sep."""
    quality: tuple[str, ...] = ()
    """Further scores, such as pesq; see `tisdiss/quality.py`."""
    name: str | None = None
    """Of the study; by default made of model and corpus."""
    label: str | None = None
    """Of the model in tables."""
    like: str | None = None
    """study/row whose place the model takes, beside the numbers that this study quotes."""

    @property
    def weights(self) -> Path:
        return weights_path(self.file, HOME)

    @property
    def size(self) -> str:
        """The profile whose mixtures are scored; stored ones whole, as the paper scores them."""
        return self.profile or (PAPER if SOURCES[self.corpus].stored else "mini")


def scoring(asked: Asked) -> Scoring:
    """The study of these scores; ValueError for a corpus, depth or name that does not exist."""
    if asked.corpus not in SOURCES:
        raise ValueError(f"no corpus {asked.corpus!r}; {nearest(asked.corpus, SOURCES)}")
    if asked.size == PAPER and not SOURCES[asked.corpus].stored:
        raise ValueError(
            f"{asked.corpus}: scores at profile {PAPER} are compared with the paper's, so the "
            f"corpus is one of {', '.join(_STORED)}; give another profile"
        )
    for score in asked.quality:
        if score not in QUALITY:
            raise ValueError(f"no score {score!r}; {nearest(score, QUALITY)}")
    model = read_model(asked.weights)
    for n_sep in asked.n_sep:
        model.check_depth(n_sep, None)
    label = asked.label or model.name
    name = asked.name or f"{slug(asked.label or _stem(asked.weights))}-on-{asked.corpus}"
    content = _in_place_of(asked, label) if asked.like else _alone(asked, label, model)
    study = validated(Scoring, {"study": name, "base": model.name, **content})
    study._size = _size(asked, model)
    return study


def _alone(asked: Asked, label: str, model: AnyModel) -> JsonObject:
    """The study of the model alone, at each N_sep."""
    return {
        "title": f"How well does {label} separate {asked.corpus}?",
        "claim": "No claim: these are the scores of given weights.",
        "rows": _rows(asked, label),
        "show": {"figure": "depth_curve" if model.dial else "table"},
    }


def _rows(asked: Asked, label: str) -> list[JsonObject]:
    if not asked.n_sep:
        return [{"id": WEIGHTS, "label": label, "weights": WEIGHTS}]
    return [
        {
            "id": f"n_sep{n_sep}",
            "label": f"{label}, N_sep = {n_sep}",
            "weights": WEIGHTS,
            "n_sep": n_sep,
        }
        for n_sep in sorted(set(asked.n_sep))
    ]


def _in_place_of(asked: Asked, label: str) -> JsonObject:
    """A study with the model in place of one row, its quoted rows, and the claims about these."""
    if asked.n_sep:
        raise ValueError(f"{asked.like}: a row has one N_sep; leave N_sep out")
    study_name, _, row_id = (asked.like or "").partition("/")
    (study,) = find_studies([study_name])
    row = study.row(row_id)
    if row.published:
        raise ValueError(f"{asked.like}: this row only quotes numbers; name one with a model")
    theirs = resolve_data(get_profile(PAPER), study.corpus_of(row)).source
    if asked.size == PAPER and theirs != asked.corpus:
        raise ValueError(
            f"{asked.like}: the paper's numbers of this row are on {theirs}, not {asked.corpus}; "
            f"score the model there, or without {asked.like}"
        )
    shown = study.shown(row)
    quoted = [
        each.model_copy(update={"corpus": None})
        for each in study.rows
        if each.published and study.corpus_of(each) == study.corpus_of(row)
    ]
    ours = Row(
        id=row.id,
        label=asked.label or shown.label or label,
        weights=WEIGHTS,
        paper=shown.paper,
        source=shown.source,
        marks=shown.marks,
        at=tuple(n_re for n_re in shown.at or () if n_re in asked.n_re) or None,
        n_sep=shown.n_sep,
    )
    ids = {row.id, *(each.id for each in quoted)}
    claims = [claim for claim in study.claims if ids.issuperset(rows_of(parse(claim.expr)))]
    return {
        "title": study.title,
        "claim": study.claim,
        "how_to_read": study.how_to_read,
        "rows": [_words(each) for each in (*quoted, ours)],
        "claims": [_words(claim) for claim in claims],
        "show": {"figure": study.show.figure, "marks": study.show.marks},
    }


def _words(part: FilePart) -> JsonObject:
    """A part of a study as its file has it."""
    return part.model_dump(mode="json", exclude_defaults=True)


def _size(asked: Asked, model: AnyModel) -> Profile:
    """The mixtures of a profile, out of the corpus at the model's rate."""
    profile = get_profile(asked.size).set
    settings = {name: profile[name] for name in _SCORED if name in profile}
    settings |= {"data.source": asked.corpus, "data.sample_rate": model.sample_rate}
    settings |= {"data.train_mixtures": 1, "data.val_mixtures": 1}  # nothing is trained
    if asked.mixtures is not None:
        settings["data.test_mixtures"] = asked.mixtures
    return Profile(
        about="given weights",
        seeds=(0,),
        set=settings,
        evaluate={"n_re": list(asked.n_re), "quality": list(asked.quality)},
        weights={WEIGHTS: WeightsFrom(file=asked.file)},
        note="given weights, trained elsewhere or before",
    )


def _stem(weights: Path) -> str:
    """The name of a file, or of its run folder."""
    return weights.parent.name if weights.stem == "model" else weights.stem


def slug(text: str) -> str:
    """The text as a part of a study's name."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")[:40] or "model"


def check_run(weights: Path, runs_dir: Path) -> None:
    """Refuse weights whose run folder is of an unfinished run or has other weights.

    Both have the same identity, so one would be taken for the other.
    """
    identity = read_shipped(weights)[0]
    folder = RunFolder.of(runs_dir, identity)
    if not folder.path.is_dir():
        return
    try:
        config, status = folder.config(), folder.result().status
    except DamagedError:
        return  # `Runner` reports it
    trained = config is not None and config.kind != "weights"
    if trained and status not in FINAL:
        raise ValueError(
            f"{weights}: its run {short(identity)} is not finished in {runs_dir} ({status}); "
            "finish it with `tisdiss run`, or evaluate with another --runs-dir"
        )
    ours = folder.model_file
    if ours.is_file() and not same_tensors(ours, weights):
        raise ValueError(
            f"{weights}: {ours} has other weights of the same run {short(identity)}, such as those "
            "of another machine; evaluate with another --runs-dir"
        )


def parsed_depths(text: str) -> tuple[int, ...]:
    """Depths such as "1..10", "3" or "1,3,6"; ValueError for anything else."""
    depths: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})(?:\.\.(\d{1,3}))?\s*", part)
        if not match:
            raise ValueError(f"{text!r}: give depths such as 3, 1..10 or 1,3,6")
        first, last = int(match[1]), int(match[2] or match[1])
        depths += range(first, last + 1)
    if not depths or min(depths) < 1:
        raise ValueError(f"{text!r}: depths begin at 1, and a range a..b needs a <= b")
    return tuple(sorted(set(depths)))
