"""scores.parquet: a score for each mixture, depth and speaker; and their means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.records import names
from tisdiss.records.files import DamagedError

if TYPE_CHECKING:
    import pandas as pd

_SCORED = ("mixture_id", "n_re")


def read_scores(path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Scores with the columns that every evaluation has and those in `columns`.

    DamagedError tells how to repeat the evaluation alone.
    """
    import pandas as pd
    import pyarrow

    way_out = f"delete {path.parent} and run the study again: only the evaluation is repeated"
    if not path.is_file():
        state = "is not a file" if os.path.lexists(path) else "is missing"
        raise DamagedError(f"{path} {state}: {way_out}")
    try:
        scores = pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DamagedError(f"{path} cannot be read ({error}): {way_out}") from error
    columns = dict.fromkeys((*_SCORED, *columns))
    if absent := [name for name in columns if name not in scores]:
        raise DamagedError(f"{path} lacks {', '.join(absent)}: {way_out}")
    if scores.empty:
        raise DamagedError(f"{path} has no scores: {way_out}")
    if scores[list(_SCORED)].isna().any(axis=None):
        raise DamagedError(f"{path} has lines without mixture or depth: {way_out}")
    for name in {"n_re", "slot", *names.score_columns(names.QUALITY)} & set(scores):
        if not pd.api.types.is_numeric_dtype(scores[name]):
            raise DamagedError(f"{path} has {name} that is not a number: {way_out}")
    return scores


def mean_by_depth(scores_file: Path) -> tuple[dict[int, dict[str, float]], int]:
    """Mean scores by N_re over mixtures and speakers, and the number of mixtures.

    Values that are not finite count as missing.
    """
    scores = read_scores(scores_file)
    columns = [column for column in names.curves() if column in scores]
    finite = scores[columns].where(scores[columns].abs() < float("inf"))
    by_depth = {}
    for n_re in sorted(int(n) for n in scores["n_re"].unique()):
        means = finite[scores["n_re"] == n_re].mean()
        by_depth[n_re] = {names.depth_metric(c): float(means[c]) for c in columns}
    return by_depth, int(scores["mixture_id"].nunique())
