"""Breakdowns of a mean: by input level, by sex, per further pass, and at depths that adapt.

Functions take and return frames, like `stats.py`; `extra_figures.py` draws them.
"""

import numpy as np
import pandas as pd

from tisdiss.analysis.stats import depth_curve
from tisdiss.records.names import MIXTURE_SI_SNR, SETTLED_BY, SI_SNRI

BINS = 5
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THRESHOLDS = range(6, 62, 2)
"""Values of `tisdiss separate --settled`, in dB."""
LEAST_DEPTHS = 3
"""Fewest depths among which a mixture can choose."""


def by_input_level(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    metric: str = SI_SNRI,
    bins: int = BINS,
) -> pd.DataFrame:
    """The mean score at the trained depth by the level of the voice in its mixture.

    The utterances are split into `bins` parts of equal size by their SI-SNR in the mixture, in dB;
    `level` is the median of a part. Other columns are those of `stats.depth_curve`.
    """
    trained = _trained(scores)
    trained = trained[np.isfinite(trained[MIXTURE_SI_SNR])]
    if trained.empty:
        return pd.DataFrame()
    levels = trained.drop_duplicates(["corpus", "mixture_id", "slot"])[MIXTURE_SI_SNR]
    edges = np.unique(np.quantile(levels, np.linspace(0, 1, bins + 1)))[1:-1]
    part = np.searchsorted(edges, trained[MIXTURE_SI_SNR], side="right")
    return _curves(trained, pd.Series(part, trained.index), rng, metric).assign(
        level=lambda curve: curve["group"].map(
            trained[MIXTURE_SI_SNR].groupby(part).median().to_dict()
        )
    )


def by_sex(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    metric: str = SI_SNRI,
) -> pd.DataFrame:
    """The mean score at the trained depth, for mixtures of the same and of different sexes.

    Mixtures with a voice of unknown sex are left out; the frame is empty if none remains.
    """
    trained = _trained(scores)
    mixture = trained.groupby(["corpus", "mixture_id"])["sex"]
    complete = mixture.transform(lambda sexes: (sexes.fillna("") != "").all())
    kinds = mixture.transform("nunique")
    trained, kinds = trained[complete.astype(bool)], kinds[complete.astype(bool)]
    if trained.empty:
        return pd.DataFrame()
    kind = kinds.map(lambda different: "same sex" if different == 1 else "different sexes")
    return _curves(trained, kind, rng, metric)


def by_mixture(scores: pd.DataFrame, *, metric: str = SI_SNRI) -> pd.DataFrame:
    """The score of each mixture at the trained depth: the mean over its speakers and the seeds.

    Columns are row, mixture_id and score. Mixtures with an undefined score are left out.
    """
    trained = _trained(scores)
    finite = np.isfinite(trained[metric].astype(float))
    means = trained.assign(score=trained[metric].where(finite)).groupby(
        ["row", "corpus", "mixture_id"], sort=False
    )["score"]
    complete = means.mean()[means.count() == means.size()]
    return complete.reset_index().drop(columns="corpus")


def change_per_step(scores: pd.DataFrame, *, metric: str = SI_SNRI) -> pd.DataFrame:
    """The change of each mixture's score by each further pass, over mixtures and seeds, in dB.

    One line per row and depth, except for the first depth. Columns q5, q25, q50, q75 and q95 are
    quantiles of the change from the previous evaluated depth (`n_re_from`); `worse` is the share of
    mixtures whose score fell.
    """
    finite = scores[np.isfinite(scores[metric].astype(float))]
    keys = ["row", "label", "n_re_train", "seed", "mixture_id"]
    wide = finite.pivot_table(metric, keys, "n_re", aggfunc="mean", sort=False)
    wide = wide[sorted(wide.columns)]
    records = []
    for row, part in wide.groupby("row", sort=False):
        part = part.dropna(axis=1, how="all")
        for before, after in zip(part.columns, part.columns[1:], strict=False):
            change = (part[after] - part[before]).dropna()
            records.append(
                {
                    "row": row,
                    "label": part.index.get_level_values("label")[0],
                    "n_re_train": int(part.index.get_level_values("n_re_train")[0]),
                    "n_re_from": int(before),
                    "n_re": int(after),
                    **{f"q{round(100 * q)}": change.quantile(q) for q in QUANTILES},
                    "worse": float((change < 0).mean()),
                    "n_changes": len(change),
                }
            )
    return pd.DataFrame(records)


def adaptive(scores: pd.DataFrame, *, metric: str = SI_SNRI) -> pd.DataFrame:
    """The mean score if each mixture stops at the first pass that is settled by a threshold.

    One line per row and threshold: `settled_db`, the mean depth `n_re` over mixtures and seeds, and
    the `mean` score. A mixture that never settles stops at the deepest N_re. Rows that were not
    scored at three or more successive depths from 1 are left out, and so are evaluations that do
    not know how much a pass changed.
    """
    if SETTLED_BY not in scores:
        return pd.DataFrame()
    keys = ["seed", "mixture_id", "n_re"]
    records = []
    for row, part in scores.groupby("row", sort=False):
        by_mixture = part.groupby(keys)[[SETTLED_BY, metric]].mean()
        settled = by_mixture[SETTLED_BY].unstack("n_re")
        score = by_mixture[metric].unstack("n_re")
        deepest = len(settled.columns)
        if list(settled.columns) != list(range(1, deepest + 1)) or deepest < LEAST_DEPTHS:
            continue
        whole = settled.drop(columns=1).notna().all(axis=1) & score.abs().lt(np.inf).all(axis=1)
        settled, score = settled[whole], score[whole]
        if settled.empty:
            continue
        for threshold in THRESHOLDS:
            stops = settled.ge(threshold)
            depth = np.where(stops.any(axis=1), stops.idxmax(axis=1), deepest)
            stopped = score.to_numpy()[np.arange(len(score)), depth - 1]
            records.append(
                {
                    "row": row,
                    "settled_db": float(threshold),
                    "n_re": float(depth.mean()),
                    "mean": float(stopped.mean()),
                }
            )
    return pd.DataFrame(records)


def _trained(scores: pd.DataFrame) -> pd.DataFrame:
    lines = scores[scores["n_re"] == scores["n_re_train"]]
    return lines if "corpus" in lines else lines.assign(corpus="")


def _curves(
    scores: pd.DataFrame, group: pd.Series, rng: np.random.Generator, metric: str
) -> pd.DataFrame:
    """`depth_curve` of each group of utterances, in the order of the groups."""
    parts = [
        depth_curve(scores[group == name], rng=rng, metric=metric).assign(group=name)
        for name in sorted(group.unique())
    ]
    return pd.concat(parts, ignore_index=True)
