"""One study as a folder of figure, tables, scores and provenance. The only writer of files."""

import hashlib
import io
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.captions import METRIC_LABELS, basis, escape_markdown, fill, resampled
from analysis.figures import depth_figure, render
from analysis.frames import StudyFrames, load_study
from analysis.latex import check_tex
from analysis.stats import DRAWS, LEVEL, depth_curve
from analysis.tables import depth_table, to_csv, to_markdown, to_tex
from tisdiss.files import write_atomic

METRICS = ("si_snri", "sdri")
"""What every report shows; the first that the study asks for leads."""

_SEED = 0


def report(study: str, profile: str, runs_dir: Path, out_dir: Path) -> list[Path]:
    """Write `out_dir/<study>/` from the run folders and return the files, figure first.

    The same runs give the same bytes. Rows that miss runs are shown as missing; a ValueError says
    what to run when no row is complete.
    """
    frames = load_study(runs_dir, study, profile)
    _check_any_complete(frames)
    lead = (frames.plan["show"] or {}).get("y", METRICS[0])
    metrics = [lead, *(metric for metric in METRICS if metric != lead)]
    scores = frames.complete_scores
    curves = [depth_curve(scores, rng=np.random.default_rng(_SEED), metric=m) for m in metrics]
    folder = Path(out_dir) / study
    written = []
    for name, data in _files(frames, curves, metrics).items():
        write_atomic(folder / name, data)
        written.append(folder / name)
    return written


def provenance(frames: StudyFrames, curves: list[pd.DataFrame]) -> dict[str, Any]:
    """Where every number comes from: cell "<row>.<metric>.re<n>" to runs, data and code."""
    plan = frames.plan
    by_row = dict(tuple(frames.runs.groupby("row", sort=False)))
    cells = {}
    for line in pd.concat(curves).to_dict("records"):
        runs = by_row[line["row"]]
        cells[f"{line['row']}.{line['metric']}.re{line['n_re']}"] = {
            "mean": _number(line["mean"]),
            "interval": [_number(line["low"]), _number(line["high"])],
            "seed_sd": _number(line["seed_sd"]),
            **{k: int(line[k]) for k in ("n_mixtures", "n_speakers", "n_missing")},
            **{k + "s": runs[k].tolist() for k in ("seed", "evaluation")},
            "runs": runs["identity"].tolist(),
        }
    return {
        "schema": 1,
        "study": plan["study"],
        "profile": plan["profile"],
        "study_hash": plan["study_hash"],
        "corpus": plan["corpus"],
        "interval": {"level": LEVEL, "draws": DRAWS, "resampled": resampled(curves[0])},
        "undefined_scores": frames.undefined,
        "runs": {run["identity"]: _run(run) for run in frames.runs.to_dict("records")},
        "analysis_hash": _analysis_hash(),
        "cells": cells,
    }


def _files(
    frames: StudyFrames, curves: list[pd.DataFrame], metrics: list[str]
) -> dict[str, bytes | str]:
    """Every file of the report by name."""
    plan = frames.plan
    table = depth_table(curves[0], plan, metric=metrics[0])
    tex = to_tex(table)
    assert not check_tex(tex), check_tex(tex)
    files: dict[str, bytes | str] = {}
    for metric, curve in zip(metrics, curves, strict=True):
        suffix = "" if metric == metrics[0] else f"-{metric}"
        for form, data in render(depth_figure(curve, plan, metric=metric)).items():
            files[f"{plan['study']}{suffix}.{form}"] = data
    return files | {
        "table.tex": tex,
        "table.md": to_markdown(table),
        "table.csv": to_csv(curves, plan),
        "scores.parquet": _parquet(frames.scores),
        "provenance.json": json.dumps(provenance(frames, curves), indent=1) + "\n",
        "README.md": _readme(frames, curves[0], metrics, to_markdown(table)),
    }


def _readme(frames: StudyFrames, curve: pd.DataFrame, metrics: list[str], table: str) -> str:
    return fill(
        "README.md",
        {"md": escape_markdown},
        plan=frames.plan,
        basis=basis(frames.plan, curve),
        table=table,
        label=METRIC_LABELS[metrics[0]],
        labels=METRIC_LABELS,
        others=metrics[1:],
        has_interval=curve["low"].notna().any(),
        resampled=resampled(curve),
        draws=DRAWS,
        incomplete=_unscored(frames),
    )


def _check_any_complete(frames: StudyFrames) -> None:
    if not len(frames.complete_scores):
        plan = frames.plan
        raise ValueError(
            f"no row of {plan['study']} has all its runs ({'; '.join(_unscored(frames))}): run "
            f"`tisdiss run {plan['study']} --profile {plan['profile']}`"
        )


def _unscored(frames: StudyFrames) -> list[str]:
    """What is missing, run by run."""
    return [
        f"{run['row']}, seed {run['seed']} (run {run['identity'][:10]}): {run['status']}"
        + (f", {run['reason']}" if isinstance(run["reason"], str) else "")
        for run in frames.runs[~frames.runs["scored"]].to_dict("records")
    ]


def _run(run: Mapping[Hashable, Any]) -> dict[str, Any]:
    shown = ("seed", "name", "status", "steps", "seconds", "test_manifest", "code_hash", "commit")
    return {key: None if pd.isna(run[key]) else run[key] for key in (*shown, "dirty")}


def _number(value: float) -> float | None:
    """Rounded to a micro-decibel, so that other machines' last bits give the same file."""
    return None if pd.isna(value) else round(float(value), 6)


def _parquet(scores: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    scores.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _analysis_hash() -> str:
    """One hash over the code that turned scores into numbers."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
