"""The names of metrics, tags, columns and events; no other module spells one.

Scores are in dB, but for those of quality; higher is better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tisdiss.plugins import Table

# --- scores -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """A measure of the similarity of estimates and sources; higher is better."""

    label: str
    function: str
    """"module:function" of estimates and sources, (..., samples) each; a measure of quality also
    takes the rate in Hz."""
    unit: str = "dB"
    """"" for a plain number."""


SI_SNR, SDR = "si_snr", "sdr"
PESQ, STOI, ESTOI, DNSMOS = "pesq", "stoi", "estoi", "dnsmos"

QUALITY = {
    PESQ: Measure("PESQ", "tisdiss.quality:pesq", "MOS"),
    STOI: Measure("STOI", "tisdiss.quality:stoi", ""),
    ESTOI: Measure("ESTOI", "tisdiss.quality:estoi", ""),
    DNSMOS: Measure("DNSMOS", "tisdiss.quality:dnsmos", "MOS"),
}
"""Measures that `evaluate: quality` asks for, with the same three columns. Their values, not their
improvements, are reported, as is usual; labels say which is which."""

MEASURES = Table(
    "tisdiss.metrics",
    Measure,
    {
        SI_SNR: Measure("SI-SNR", "tisdiss.metrics:si_snr"),
        SDR: Measure("SDR", "tisdiss.metrics:sdr"),
    },
    pattern=r"[a-z][a-z0-9_]{0,23}",
    taken=lambda: (*table_columns(QUALITY), MACS, PARAMS, RTF, MEMORY),
)
"""The measures: ours, and those of packages (`tisdiss.plugins`). Each has three columns: its value,
such as si_snr; its improvement over the mixture, such as si_snri; and the mixture's value, such as
mixture_si_snr."""


def measures() -> dict[str, Measure]:
    """All measures, those of quality last."""
    return {**MEASURES, **QUALITY}


def gain(measure: str) -> str:
    """The name of a measure's improvement over the unprocessed mixture."""
    return f"{measure}i"


def of_mixture(measure: str) -> str:
    """The name of a measure of the unprocessed mixture."""
    return f"mixture_{measure}"


def measure_of(score: str) -> str:
    """The measure of a score, which is its value or its improvement."""
    return score if score in measures() else score.removesuffix("i")


def curves() -> tuple[str, ...]:
    """Columns of scores.parquet that become curves over N_re."""
    return (*map(gain, MEASURES), *QUALITY)


def scores() -> tuple[str, ...]:
    """The names of all scores that claims, tables and figures may use.

    Improvements come first, and scores of quality last.
    """
    return (*map(gain, MEASURES), *MEASURES, *QUALITY, *map(gain, QUALITY))


def score_label(score: str) -> str:
    """The label of a score in text, such as SI-SNRi or PESQ (absolute)."""
    measure = measure_of(score)
    label, is_gain = measures()[measure].label, score != measure
    if measure in QUALITY:
        return f"{label} ({'improvement' if is_gain else 'absolute'})"
    return gain(label) if is_gain else label


def score_unit(score: str) -> str:
    """The unit of a score; "" for a plain number."""
    return measures()[measure_of(score)].unit


def in_unit(text: str, score: str) -> str:
    """A text with the unit of a score in brackets, such as SI-SNRi [dB]."""
    unit = score_unit(score)
    return f"{text} [{unit}]" if unit else text


def score_heading(score: str) -> str:
    """The label of a score with its unit, for axes and tables."""
    return in_unit(score_label(score), score)


def reached() -> tuple[str, ...]:
    """Columns of scores.parquet with the scores of estimates, in their order."""
    return tuple(name for measure in measures() for name in (measure, gain(measure)))


def score_columns(quality: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns of scores.parquet with scores, in their order; `quality` names further measures."""
    asked = (*MEASURES, *quality)
    values = (name for measure in asked for name in (measure, gain(measure)))
    return (*values, *map(of_mixture, asked))


def table_columns(quality: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns of scores.parquet: one row per mixture, depth and speaker."""
    place = ("mixture_id", "slot", "speaker", "sex", "n_sep", "n_re", "samples", SETTLED_BY)
    return (*place, *score_columns(quality))


SETTLED_BY = "settled_by"
"""How far the change by the last pass is below the estimates of a mixture, in dB; null at the first
depth, and if the pass before it was not evaluated."""
SI_SNRI = gain(SI_SNR)
"""The default score."""
SDRI = gain(SDR)
REPORTED = (SI_SNRI, SDRI)
"""The scores of every report; the one that the study names comes first."""
MIXTURE_SI_SNR = of_mixture(SI_SNR)
"""The input level of an utterance; lower is harder."""
MACS = "macs"
"""Multiply-adds per second of audio, in claims and searches."""
PARAMS = "params"
RTF = "rtf"
"""Processing time over audio time."""
MEMORY = "memory"
"""Peak memory of a pass beyond model and input; bytes in files, megabytes in claims."""

# --- metrics of training, step = optimiser step -------------------------------------------------
TRAIN_LOSS = "train/loss"
TRAIN_LR = "train/lr"
TRAIN_GRAD_NORM = "train/grad_norm"
TRAIN_LOSS_AT = "train/loss."
"""Prefix of the loss at a supervised depth: last, split2, re1 and so on."""
VAL_LOSS = "val/loss"
VAL_SI_SNRI = f"val/{SI_SNRI}"
"""At the trained depth, over the validation mixtures."""
SPEED = "speed/audio_seconds_per_second"
SECONDS_LEFT = "speed/seconds_left"

# --- metrics of the machine, under the names that MLflow's page "System metrics" shows -----------
CPU_USE = "system/cpu_utilization_percentage"
"""Of all processors, since the sample before."""
MEMORY_USE = "system/system_memory_usage_megabytes"
MEMORY_SHARE = "system/system_memory_usage_percentage"
DISK_SHARE = "system/disk_usage_percentage"
"""Of the disk that holds the run."""
DISK_FREE = "system/disk_available_megabytes"


def gpu_metric(gpu: int, quantity: str) -> str:
    """The name of a quantity of one GPU, such as system/gpu_0_utilization_percentage."""
    return f"system/gpu_{gpu}_{quantity}"


GPU_MEMORY_USE = "memory_usage_megabytes"
GPU_MEMORY_SHARE = "memory_usage_percentage"
GPU_USE = "utilization_percentage"
GPU_POWER = "power_usage_watts"

# --- metrics of evaluation ----------------------------------------------------------------------
SCORED_SI_SNRI = f"eval/{SI_SNRI}"
"""Mean SI-SNRi of the last mixture at the largest N_re; for progress displays only."""
SCORED_MIXTURES = "eval/mixtures"
"""Number of mixtures to score."""


def depth_metric(column: str, evaluation: str | None = None) -> str:
    """The name of a curve over N_re, whose step is N_re instead of a training step.

    `evaluation` is the short identity of an evaluation that is not the run's latest.
    """
    return f"depth.{evaluation}/{column}" if evaluation else f"depth/{column}"


def cell_metric(column: str, n_re: int) -> str:
    """The name of one number of a paper table, such as test/si_snri.re3."""
    return f"test/{column}.re{n_re}"


def score_metric(column: str) -> str:
    """The name of a run's score at the trained depth, such as test/si_snri, for lists of runs."""
    return f"test/{column}"


def evaluation_of(metric: str, latest: str | None) -> str | None:
    """The evaluation that a metric in MLflow is a score of; None if it is no score of one.

    `latest` is the evaluation whose metrics do not name it.
    """
    kind, _, _ = metric.partition("/")
    if kind in ("depth", "test"):
        return latest
    return kind.removeprefix("depth.") if kind.startswith("depth.") else None


# --- kinds of journal events --------------------------------------------------------------------
EVENT_TRAIN = "train"
"""Some steps were trained."""

EVENT_EPOCH = "epoch"
"""An epoch was trained and validated."""

EVENT_WARNING = "warning"
"""The event's "text" is a warning for people."""

EVENT_DEPTH = "depth"
"""Mean scores at one N_re (= step) of the evaluation named in the event."""

EVENT_SCORED = "eval"
"""One mixture has been scored; for progress displays only."""

EVENT_SYSTEM = "system"
"""The use of the machine; step and epoch are those of the event before."""

# --- files of a report ---------------------------------------------------------------------------
PROVENANCE = "provenance.json"
"""The plan, the runs, and the origin of every number."""
SCORES = "scores.parquet"
"""Every score of all runs; in the folder of an evaluation, its scores."""
REPORT_COLUMNS = ("row", "label", "corpus", "seed", "identity", "n_re_train")
"""Columns that a report adds to the scores of a run."""

# --- MLflow -------------------------------------------------------------------------------------
EXPERIMENT = "tisdiss"
EXPERIMENT_KIND_TAG = "mlflow.experimentKind"
EXPERIMENT_KIND = "custom_model_development"
NOTE_TAG = "mlflow.note.content"
RUN_NAME_TAG = "mlflow.runName"
SAVED_VIEW_TAG = "mlflow.sharedViewState."
"""Prefix of an experiment's tag; the view's key follows."""
GIT_COMMIT_TAG = "mlflow.source.git.commit"
DATA_CONTEXT_TAG = "mlflow.data.context"
DATA_TRAIN, DATA_VAL, DATA_TEST = "train", "validation", "test"
"""The contexts of a run's mixtures."""


def dataset(corpus: str, context: str) -> str:
    """The name of a dataset. It has the context, for a run has one dataset of a name and digest."""
    return corpus if context == DATA_TRAIN else f"{corpus} {context}"


TAG_IDENTITY = "tisdiss.identity"
TAG_PARENT = "tisdiss.parent"
TAG_KIND = "tisdiss.kind"
KIND_REPORT = "report"
"""The kind of an MLflow run that holds a report; others are the kinds of our runs."""
TAG_REPORT = "tisdiss.report"
"""The study of a report."""
TAG_NAME = "tisdiss.name"
TAG_LABEL = "tisdiss.label"
"""Labels of the rows that show the run."""
TAG_STUDIES = "tisdiss.studies"
TAG_PROFILE = "tisdiss.profile"
TAG_SEED = "tisdiss.seed"
TAG_STATUS = "tisdiss.status"
TAG_REASON = "tisdiss.reason"
TAG_DATA = "tisdiss.data_manifest"
TAG_DIRTY = "tisdiss.git.dirty"
TAG_CODE = "tisdiss.code_hash"
TAG_NOT_FINITE = "tisdiss.not_finite"
"""Number of logged values that were infinite or undefined; MLflow holds NaN for them."""
TAG_EVALUATION = "tisdiss.evaluation"
"""The evaluation whose curve is named depth/..."""
TAG_RUNS_DIR = "tisdiss.runs_dir"
"""Origin (origin.txt) of the runs folder that logged the run; only its sync may delete the run."""
TAG_SYNCED = "tisdiss.synced"
"""How much of the run folder is already in MLflow."""
TAG_MODEL = "tisdiss.model"
"""The LoggedModel of the run's weights, and a digest of what it has."""
TAG_WEIGHTS = "tisdiss.weights"
"""SHA-256 of a file of weights, on LoggedModels and on versions of registered models."""
REGISTERED_MODEL = "tisdiss"
"""The registered model whose versions are promoted runs."""


def study_tag(study: str) -> str:
    """Tag of the runs that a study shows; its value is the row id."""
    return f"tisdiss.study.{study}"
