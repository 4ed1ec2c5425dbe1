"""Every name that is logged, tagged or tabulated. The only place where such a string is made.

Metrics of the journal and of MLflow; decibels unless said otherwise, higher is better for scores.
"""

from __future__ import annotations

from dataclasses import dataclass

# --- scores -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """How near estimates are to their sources, in dB; more is better."""

    label: str
    function: str
    """"module:function" of estimates and sources, (..., samples) each."""


SI_SNR, SDR = "si_snr", "sdr"

MEASURES = {
    SI_SNR: Measure("SI-SNR", "tisdiss.metrics:si_snr"),
    SDR: Measure("SDR", "tisdiss.metrics:sdr"),
}
"""The only list of measures. Each gives three columns: its value, such as si_snr; its gain over the
mixture, such as si_snri; and the value of the mixture, such as mixture_si_snr."""


def gain(measure: str) -> str:
    """What a measure gains over the unprocessed mixture."""
    return f"{measure}i"


def of_mixture(measure: str) -> str:
    """What a measure says of the unprocessed mixture."""
    return f"mixture_{measure}"


def gains() -> tuple[str, ...]:
    """Columns of scores.parquet that become curves over N_re."""
    return tuple(map(gain, MEASURES))


def scores() -> tuple[str, ...]:
    """Every score that a claim, a table or a figure may name; the gains come first."""
    return (*gains(), *MEASURES)


def score_label(score: str) -> str:
    """A score as people write it, such as SI-SNRi."""
    if score in MEASURES:
        return MEASURES[score].label
    return gain(MEASURES[score.removesuffix("i")].label)


def reached() -> tuple[str, ...]:
    """Columns of scores.parquet with the scores of estimates, in their order."""
    return tuple(name for measure in MEASURES for name in (measure, gain(measure)))


def score_columns() -> tuple[str, ...]:
    """Columns of scores.parquet with scores, in their order."""
    return (*reached(), *map(of_mixture, MEASURES))


def table_columns() -> tuple[str, ...]:
    """Columns of scores.parquet: one row per mixture, depth and speaker."""
    place = ("mixture_id", "slot", "speaker", "sex", "n_sep", "n_re", "samples")
    return (*place, *score_columns())


SI_SNRI = gain(SI_SNR)
"""The score where none is named."""
SDRI = gain(SDR)
REPORTED = (SI_SNRI, SDRI)
"""What every report shows; the one that the study asks for leads."""
MIXTURE_SI_SNR = of_mixture(SI_SNR)
"""How hard a mixture is: less is harder."""
MACS = "macs"
"""What a pass costs, as claims and searches name it."""
PARAMS = "params"

# --- metrics of training, step = optimiser step -------------------------------------------------
TRAIN_LOSS = "train/loss"
TRAIN_LR = "train/lr"
TRAIN_GRAD_NORM = "train/grad_norm"
TRAIN_LOSS_AT = "train/loss."
"""Prefix; then a supervised depth: last, split2, re1 and so on."""
VAL_LOSS = "val/loss"
VAL_SI_SNRI = f"val/{SI_SNRI}"
"""At the trained depth, over the validation mixtures."""
SPEED = "speed/audio_seconds_per_second"
SECONDS_LEFT = "speed/seconds_left"

# --- metrics of evaluation ----------------------------------------------------------------------
SCORED_SI_SNRI = f"eval/{SI_SNRI}"
"""Mean at the deepest N_re of the mixtures scored so far; for progress displays only."""
SCORED_MIXTURES = "eval/mixtures"
"""How many mixtures will be scored."""


def depth_metric(column: str, evaluation: str | None = None) -> str:
    """A curve over N_re: its step is N_re, not a training step.

    `evaluation` names one that is not the run's latest, by its short identity.
    """
    return f"depth.{evaluation}/{column}" if evaluation else f"depth/{column}"


def cell_metric(column: str, n_re: int) -> str:
    """One number of a paper table, such as test/si_snri.re3."""
    return f"test/{column}.re{n_re}"


def score_metric(column: str) -> str:
    """The one number of a run in lists of runs: at the trained depth, such as test/si_snri."""
    return f"test/{column}"


# --- kinds of journal events --------------------------------------------------------------------
EVENT_TRAIN = "train"
"""Some steps were trained."""

EVENT_EPOCH = "epoch"
"""An epoch was trained and validated."""

EVENT_WARNING = "warning"
"""Something that a person should read, in the event's "text"."""

EVENT_DEPTH = "depth"
"""Mean scores at one N_re (= step) of the evaluation named in the event."""

EVENT_SCORED = "eval"
"""One mixture has been scored; for progress displays only."""

# --- MLflow -------------------------------------------------------------------------------------
EXPERIMENT = "tisdiss"
EXPERIMENT_KIND_TAG = "mlflow.experimentKind"
EXPERIMENT_KIND = "custom_model_development"
NOTE_TAG = "mlflow.note.content"
RUN_NAME_TAG = "mlflow.runName"
SAVED_VIEW_TAG = "mlflow.sharedViewState."
"""Prefix of the experiment's tags; then the view's key."""
GIT_COMMIT_TAG = "mlflow.source.git.commit"

TAG_IDENTITY = "tisdiss.identity"
TAG_PARENT = "tisdiss.parent"
TAG_KIND = "tisdiss.kind"
TAG_NAME = "tisdiss.name"
TAG_LABEL = "tisdiss.label"
"""What the rows that show the run are called."""
TAG_STUDIES = "tisdiss.studies"
TAG_PROFILE = "tisdiss.profile"
TAG_SEED = "tisdiss.seed"
TAG_STATUS = "tisdiss.status"
TAG_REASON = "tisdiss.reason"
TAG_DATA = "tisdiss.data_manifest"
TAG_DIRTY = "tisdiss.git.dirty"
TAG_CODE = "tisdiss.code_hash"
TAG_NOT_FINITE = "tisdiss.not_finite"
"""How many logged values were infinite or undefined; MLflow holds NaN for them."""
TAG_EVALUATION = "tisdiss.evaluation"
"""The evaluation whose curve is called depth/..."""
TAG_RUNS_DIR = "tisdiss.runs_dir"
"""The folder of runs that made it, by its origin.txt; only that folder's sync may delete it."""
TAG_SYNCED = "tisdiss.synced"
"""How much of the run folder is in MLflow already."""


def study_tag(study: str) -> str:
    """Tag of the runs that a study shows; its value is the row id."""
    return f"tisdiss.study.{study}"
