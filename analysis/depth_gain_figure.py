"""Gain over depth against SI-SNRi: the figure of all rows of all reports in a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tisdiss.analysis.canvas import COLOURS, legend, settle, small_print, style
from tisdiss.analysis.captions import escape_figure
from tisdiss.analysis.depth_gain import LEAST_GAIN, DepthGain, depth_gain, repeated
from tisdiss.analysis.figures import marker
from tisdiss.analysis.places import reported
from tisdiss.analysis.results import Results, results_in
from tisdiss.records.files import DamagedError
from tisdiss.records.names import SI_SNRI, score_label

_NOTE = (
    "a point: a row of a study at the N_re of its training, minus the same model at N_re = 1; "
    "95 % intervals; not the paper's corpus or size"
)


@dataclass(frozen=True)
class ReportedGain:
    """The gain of a row in a report."""

    study: str
    row: str
    profile: str
    gain: DepthGain


def reported_gains(reports: Path) -> list[ReportedGain]:
    """The gains of all rows in all reports of a folder; rows of the same runs count once.

    Reports that cannot be read are left out; the list of all reports tells about them.
    """
    gains: dict[tuple[str, ...], ReportedGain] = {}
    for study in reported(reports):
        try:
            results = results_in(Path(reports) / study)
        except DamagedError:
            continue
        for evaluations, gain in _of_report(results):
            gains.setdefault(evaluations, gain)
    return list(gains.values())


def _of_report(results: Results) -> Iterator[tuple[tuple[str, ...], ReportedGain]]:
    """The gain of each row, after the evaluations that it is from."""
    plan, scores = results.plan, results.frames.scores
    for row in plan.rows:
        gain = depth_gain(scores, row.id, row.n_re_train)
        if gain is not None and repeated(row.name):
            scored = set(scores.loc[scores["row"] == row.id, "identity"])
            evaluations = tuple(run.evaluation for run in row.runs if run.identity in scored)
            yield evaluations, ReportedGain(plan.study, row.id, plan.profile, gain)


def depth_gain_figure(gains: Sequence[ReportedGain]) -> Figure | None:
    """Gain over depth against SI-SNRi, a colour per profile; None without gains."""
    if not gains:
        return None
    with style():
        figure = Figure()
        axes = figure.add_subplot()
        profiles = sorted({gain.profile for gain in gains})
        handles: list[Artist] = [
            _points(axes, [gain for gain in gains if gain.profile == profile], at)
            for at, profile in enumerate(profiles)
        ]
        axes.axhline(0, color="0.5", lw=0.6)
        axes.axhline(LEAST_GAIN, color="0.5", lw=0.8, ls="--")
        axes.annotate(
            f"claims about depth need more than {LEAST_GAIN:g} dB",
            (0.99, LEAST_GAIN),
            xycoords=("axes fraction", "data"),
            xytext=(0, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=6,
            color="0.4",
        )
        highest = max(gains, key=_height), max(gains, key=_score)
        for one in highest[: 1 if highest[0] is highest[1] else 2]:
            _name(axes, one)
        axes.margins(x=0.12)
        axes.set_xlabel(rf"{score_label(SI_SNRI)} at the $N_\mathrm{{re}}$ of training [dB]")
        axes.set_ylabel(r"gain from $N_\mathrm{re}$ = 1 [dB]")
        small_print(figure, [_NOTE])
        legend(figure, handles)
        settle(figure)
    return figure


def _height(one: ReportedGain) -> float:
    return one.gain.gain.mean


def _score(one: ReportedGain) -> float:
    return one.gain.deep.mean


def _name(axes: Axes, one: ReportedGain) -> None:
    """Write study and row above the interval of a point."""
    axes.annotate(
        escape_figure(f"{one.study}/{one.row}"),
        (_score(one), one.gain.gain.interval()[1]),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=6,
        color="0.3",
    )


def _points(axes: Axes, gains: Sequence[ReportedGain], at: int) -> Artist:
    """The gains of one profile, with their intervals."""
    halves = [one.gain.gain.interval()[1] - _height(one) for one in gains]
    points, *_ = axes.errorbar(
        list(map(_score, gains)),
        list(map(_height, gains)),
        halves,
        ls="none",
        marker=marker(at),
        color=COLOURS[at],
        mfc="white",
        elinewidth=0.7,
    )
    assert points is not None
    points.set_label(f"profile {gains[0].profile}")
    return points
