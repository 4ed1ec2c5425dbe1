"""What every figure has: style, fonts, layout, legend, small print, and the bytes of its files.

The style is the paper's; `paper.mplstyle` holds fonts and widths.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources

import matplotlib.style
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal

from tisdiss.analysis.captions import basis, daggers, escape_figure, notes, pretty, wrapped
from tisdiss.analysis.fonts import can_embed, further_families, quiet, unprintable
from tisdiss.records.plan_record import StudyFile

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
"""The palette of Okabe and Ito (2008) for colour-blind readers, strongest first; then brown."""

FORMATS = ("pdf", "png", "svg")

_METADATA = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
_GREY = "0.35"
_NOTE_SIZE = 6


def settle(figure: Figure) -> None:
    """Lay the figure out once, so that drawing it again moves nothing."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def render(figure: Figure, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """The figure as PDF, PNG (300 dpi) and SVG; the same bytes on every call."""
    files = {}
    with style():
        for form in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=form, metadata=_METADATA[form])
            files[form] = buffer.getvalue()
    return files


@contextmanager
def style(text: str = "") -> Iterator[None]:
    """The paper's style while a figure is drawn or written, whatever the user's own settings.

    `text` holds all letters of the figure; installed fonts add those that the paper's fonts lack.
    """
    with (
        resources.as_file(resources.files("tisdiss.analysis") / "paper.mplstyle") as path,
        matplotlib.style.context(["default", path]),
        quiet(),
    ):
        families = matplotlib.rcParams["font.family"]
        further = further_families(text, families)
        matplotlib.rcParams["font.family"] = [*families, *further]
        if not all(map(can_embed, further)):
            matplotlib.rcParams["path.effects"] = [Normal()]  # letters become outlines
        yield


def unshown(plan: StudyFile) -> str:
    """The letters of a study's figures that no installed font has."""
    with style():
        return unprintable(in_figures(plan), matplotlib.rcParams["font.family"])


def in_figures(plan: StudyFile) -> str:
    """All texts of a plan that figures may show."""
    return str(plan.model_dump(exclude_unset=True, exclude={"title", "claim", "claims"}))


def legend(figure: Figure, handles: list[Artist]) -> None:
    """Draw a legend above the axes, in as many columns as fit.

    The figure grows by the height of the legend, so the axes do not shrink.
    """
    if not handles:
        return
    height = figure.get_figheight()
    figure.set_figheight(3 * height)  # room to measure any legend
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(min(6, len(handles)), 0, -1):
        drawn = figure.legend(handles=handles, loc="outside upper left", ncols=columns)
        extent = drawn.get_window_extent(renderer)
        if columns == 1 or extent.width <= figure.bbox.width:
            break
        drawn.remove()
    figure.set_figheight(height + extent.height / figure.dpi)


def note(
    figure: Figure,
    plan: StudyFile,
    curve: pd.DataFrame,
    absent: Sequence[str] = (),
    *,
    above: Sequence[str] = (),
) -> None:
    """Write a note in small print below the axes: `above`, then the data behind the numbers."""
    lines = [*above, " · ".join(basis(plan, curve))]
    lines += [pretty(note) for note in notes(plan)]
    lines += daggers(plan)
    if absent:
        lines.append(f"runs missing: {'; '.join(absent)}")
    small_print(figure, lines)


def small_print(figure: Figure, lines: Sequence[str]) -> None:
    """Write wrapped lines below the axes; the figure grows by their height."""
    width = int(25 * figure.get_figwidth())
    lines = [part for line in lines for part in wrapped(escape_figure(line), width)]
    figure.supxlabel("\n".join(lines), fontsize=_NOTE_SIZE, color=_GREY, x=0.99, ha="right")
    figure.set_figheight(figure.get_figheight() + (len(lines) - 1) * 1.2 * _NOTE_SIZE / 72)
