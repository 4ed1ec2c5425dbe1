"""The scores of a study as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from tisdiss.harness.display import new_table
from tisdiss.records.names import score_heading

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def score_table(curves: Mapping[str, pd.DataFrame]) -> Table:
    """A line per row and depth, a column per score; `curves` are `stats.depth_curve` of each."""
    lead = next(iter(curves.values()))
    first = lead.iloc[0]
    corpus = f"{first['n_mixtures']} mixtures, {first['n_speakers']} speakers"
    table = new_table(f"{corpus}; ± is half the 95 % interval")
    named = lead["row"].nunique() > 1
    if named:
        table.add_column("row")
    table.add_column("N_re", justify="right", no_wrap=True)
    for metric in curves:
        table.add_column(score_heading(metric), justify="right", min_width=11)
    by_place = {metric: curve.set_index(["row", "n_re"]) for metric, curve in curves.items()}
    for row, label, n_re in lead[["row", "label", "n_re"]].itertuples(index=False):
        cells = [_cell(curve.loc[(row, n_re)]) for curve in by_place.values()]
        table.add_row(*([label] if named else []), str(n_re), *cells)
    return table


def _cell(line: pd.Series) -> str:
    """A mean, with half its interval if there is one."""
    mean, high = float(line["mean"]), float(line["high"])
    return f"{mean:.2f} ±{high - mean:.2f}" if isfinite(high) else f"{mean:.2f}"
