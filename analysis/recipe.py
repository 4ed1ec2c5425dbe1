"""The recipe of a study in words: training, data, codec, runs and code.

A fact that all rows share is stated once; if rows differ, each value is followed by its rows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tisdiss.analysis.captions import row_label
from tisdiss.analysis.frames import StudyFrames, run_records
from tisdiss.architectures import ARCHITECTURES
from tisdiss.config import TrainConfig
from tisdiss.records.report_record import RunLine

NOT_RECORDED = "not recorded"
"""What is said of the training of imported weights."""


@dataclass(frozen=True)
class Fact:
    """One line of a recipe."""

    name: str
    text: str


def recipe(frames: StudyFrames) -> list[Fact]:
    """The facts of a study's runs, and the numbers of rows and seeds that are reported."""
    lines = [line for line in run_records(frames) if line.config]
    texts = {name: _by_row(frames, lines, describe) for name, describe in _FACTS.items()}
    facts = [Fact(name, text) for name, text in texts.items() if text]
    return [*facts, Fact("rows", _rows(frames)), Fact("seeds", _seeds(frames)), _code(frames)]


def kept_epochs(frames: StudyFrames) -> str:
    """The epochs that the weights of all rows are made of; "" where no training is recorded."""
    describe = _FACTS["weights"]
    told = {describe(line) for line in run_records(frames) if line.config} - {NOT_RECORDED}
    if len(told) > 1:
        return "weights: not the same epochs in all rows"
    return f"weights: {told.pop()}" if told else ""


def _by_row(frames: StudyFrames, lines: list[RunLine], describe: Callable[[RunLine], str]) -> str:
    """Each value once, followed by its rows if there are several values."""
    rows: dict[str, dict[str, None]] = {}
    for line in lines:
        rows.setdefault(describe(line), {})[line.row] = None
    if rows.keys() <= {NOT_RECORDED}:
        return ""
    if len(rows) < 2:
        return next(iter(rows), "")
    return _followed_by_rows(frames, rows)


def _followed_by_rows(frames: StudyFrames, rows: Mapping[str, Iterable[str]]) -> str:
    """Each value with the labels of its rows, quoted because a label may have commas."""
    plan = frames.plan
    labels = {row.id: f'"{row_label(row, plan, marked=False)}"' for row in plan.rows}
    return "; ".join(
        f"{value} ({', '.join(labels[row] for row in ids)})" for value, ids in rows.items()
    )


def _training(line: RunLine) -> str:
    if line.kind == "weights":
        return (
            "imported weights, not trained here"
            if _foreign(line)
            else "shipped weights, not trained here"
        )
    steps, planned = line.steps, line.config.steps if line.config else None
    total = f" of {planned:,}" if steps is not None and planned not in (None, steps) else ""
    prefix = "fine-tuned for " if line.kind == "finetune" else ""
    return f"{prefix}{steps:,}{total} updates" if steps is not None else ""


def batch(line: RunLine) -> str:
    """The number of crops of an update, and their length."""
    seconds = _setting(line, "data.segment_seconds")
    return f"{_setting(line, 'batch_size')} crops of {seconds:g} s"


def _codec(line: RunLine) -> str:
    if _is_whole(line):
        return f"that of {_setting(line, 'model.architecture')}"
    codec = _setting(line, "model.codec")
    mask = ", complex mask" if _setting(line, "model.mask") else ", no mask"
    return f"{codec['kind']}, STFT {codec['n_fft']}/{codec['hop']}{mask}"


def mixing(line: RunLine) -> str:
    """How the training mixtures of a run are made."""
    if not _setting(line, "data.dynamic"):
        return f"{_setting(line, 'data.train_mixtures'):,} fixed mixtures"
    values = {name: _setting(line, f"data.{name}") for name in VARIATIONS}
    changed = [
        VARIATIONS[name](value)
        for name, value in values.items()
        if value != _DEFAULTS["data"][name]
    ]
    return ", ".join(["dynamic: new pairs, gains and offsets for every crop", *changed])


VARIATIONS: Mapping[str, Callable[[Any], str]] = {
    "speed": lambda share: f"voices up to {share:.0%} faster or slower",
    "pairs": lambda _: "a woman and a man each",
    "turns": lambda share: f"a speaker silent for a while in {share:.0%} of the mixtures",
    "train_gain_db": lambda gain: f"gains of ± {gain:g} dB",
}
"""What each setting of dynamic mixing adds, in words."""


def _is_whole(line: RunLine) -> bool:
    """Whether the model is not of our parts."""
    return _setting(line, "model.architecture") not in ARCHITECTURES


def _loss(line: RunLine) -> str:
    if _is_whole(line):
        return f"one output, or the loss of {_setting(line, 'model.architecture')}"
    averages = {
        "flat": "plain mean over all decoded outputs",
        "eq1": "each term averaged over its own outputs first (Eq. 1)",
    }
    return averages[_setting(line, "loss.average")]


def _optimiser(line: RunLine) -> str:
    optim = _setting(line, "optim")
    kind = {"adamw": "AdamW", "muon": f"Muon at {optim['muon_lr']:g}, AdamW for the rest"}
    after = {
        "plateau": "halved on a plateau",
        "constant": "then constant",
        "decay": f"to zero over the last {optim['decay_share']:.0%}",
    }
    ema = f", weights averaged by {optim['ema']:g}" if optim["ema"] else ""
    return (
        f"{kind[optim['kind']]}, rate {optim['lr']:g} after {optim['warmup_steps']} updates, "
        f"{after[optim['schedule']]}{ema}"
    )


def _weights(line: RunLine) -> str:
    """The epochs whose weights the final model is made of."""
    epochs, averaged = line.epochs or _setting(line, "epochs"), _setting(line, "average_best")
    if epochs == 1:
        return "those after the only epoch"
    if averaged == 1:
        return f"those of the best of {epochs} epochs on the validation mixtures"
    if averaged < epochs:
        return f"mean of the best {averaged} of {epochs} epochs on the validation mixtures"
    return f"mean of all {epochs} epochs"


def _foreign(line: RunLine) -> bool:
    """Whether the weights are imported, so that nothing is known of their training."""
    return line.config is not None and line.config.batch_size is None and line.kind == "weights"


def _if_known(describe: Callable[[RunLine], str]) -> Callable[[RunLine], str]:
    return lambda line: NOT_RECORDED if _foreign(line) else describe(line)


_FACTS: Mapping[str, Callable[[RunLine], str]] = {
    "training": _training,
    "batch": _if_known(batch),
    "mixing": _if_known(mixing),
    "codec": _codec,
    "loss average": _if_known(_loss),
    "optimiser": _if_known(_optimiser),
    "weights": _if_known(_weights),
}


def _setting(line: RunLine, path: str) -> Any:
    """A setting of a training; one that an early version did not record has its default."""
    value: Any = line.config.plain() if line.config else {}
    default: Any = _DEFAULTS
    for key in path.split("."):
        default = default[key]
        value = value.get(key, default) if isinstance(value, dict) else default
    return {**default, **value} if isinstance(default, dict) else value


_DEFAULTS = TrainConfig().model_dump()


def _rows(frames: StudyFrames) -> str:
    plan = frames.plan
    scored = frames.runs.loc[frames.runs["scored"].astype(bool), "row"].nunique()
    return f"{scored} of {plan.n_own_rows} rows of the study are reported"


def _seeds(frames: StudyFrames) -> str:
    planned, finished = len(frames.runs), int(frames.runs["scored"].sum())
    counts = {len(row.planned_seeds) for row in frames.plan.rows}
    per_row = " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else "0"
    return f"{per_row} a row planned; {finished} of {planned} runs are finished"


def _code(frames: StudyFrames) -> Fact:
    """The versions of the code behind weights and scores, and the files that differ."""
    rows: dict[str, dict[str, None]] = {}
    files: dict[str, Mapping[str, str]] = {}
    for line in run_records(frames):
        if line.code_hash:
            rows.setdefault(line.code_hash, {})[line.row] = None
            files[line.code_hash] = line.code_files or {}
    if len(rows) < 2:
        version = next(iter(rows), "")
        return Fact("code", f"one version, {version[:8]}" if version else "not recorded")
    versions = _followed_by_rows(frames, {version[:8]: ids for version, ids in rows.items()})
    return Fact("code", f"{len(rows)} versions: {versions}. {_differences(list(files.values()))}")


def _differences(versions: list[Mapping[str, str]]) -> str:
    """The files that are not the same in all versions, as a sentence."""
    if not all(versions):
        return "The files that differ were not recorded"
    names = sorted(set().union(*versions))
    differing = [name for name in names if len({version.get(name) for version in versions}) > 1]
    return f"They differ in {', '.join(differing)}"
