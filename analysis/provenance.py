"""Where every number comes from, and the way back: `why("table3:l3:si_snri")`.

A cell is named study:row:score.re<depth>; without a depth it is the one the row was trained at.
The same names are the macros of `numbers.tex`.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.captions import METRIC_LABELS, resampled
from analysis.results import Results
from analysis.stats import DRAWS, LEVEL

SCHEMA = 1
_ROW = ("label", "name", "n_re_train", "paper", "corpus")


def provenance(results: Results) -> dict[str, Any]:
    """Every cell "<row>.<score>.re<n>" with its runs; every run with its data, code and config."""
    frames, plan = results.frames, results.plan
    by_row = dict(tuple(frames.runs.groupby("row", sort=False)))
    cells = {}
    for line in pd.concat(list(results.curves.values())).to_dict("records"):
        runs = by_row[line["row"]]
        cells[f"{line['row']}.{line['metric']}.re{line['n_re']}"] = {
            "mean": number(line["mean"]),
            "interval": [number(line["low"]), number(line["high"])],
            "seed_sd": number(line["seed_sd"]),
            **{k: int(line[k]) for k in ("n_mixtures", "n_speakers", "n_missing")},
            **{k + "s": runs[k].tolist() for k in ("seed", "evaluation")},
            "runs": runs["identity"].tolist(),
        }
    return {
        "schema": SCHEMA,
        "study": plan["study"],
        "profile": plan["profile"],
        "study_hash": plan["study_hash"],
        "corpus": plan["corpus"],
        "corpora": plan.get("corpora") or {},
        "interval": {"level": LEVEL, "draws": DRAWS, "resampled": resampled(results.curve)},
        "undefined_scores": frames.undefined,
        "rows": {row["id"]: {key: row.get(key) for key in _ROW} for row in plan["rows"]},
        "runs": {run["identity"]: _run(run) for run in frames.runs.to_dict("records")},
        "analysis_hash": _analysis_hash(),
        "claims": [_verdict(vars(verdict)) for verdict in results.verdicts],
        "cells": cells,
    }


def why(
    cell: str, *, reports: Path = Path("reports"), code_hash: str | None = None
) -> dict[str, Any]:
    """What stands behind a number of a report: value, runs, config, data and code.

    `cell` is study:row:score or study:row:score.re5. `code_hash` is that of the model's code as
    it is now (`tisdiss.harness.environment.code_hash()`); each run then says whether the code
    changed since. Its `settings` are those in which the study's runs differ. A ValueError names
    the nearest cell when there is none of that name.
    """
    study, row, score = _split(cell)
    path = Path(reports) / study / "provenance.json"
    if not path.is_file():
        there = ", ".join(sorted(p.parent.name for p in Path(reports).glob("*/provenance.json")))
        raise ValueError(
            f"{cell}: no report of study {study!r} in {reports}; there are: {there or 'none'}. "
            f"`tisdiss report {study}` writes it"
        )
    known = json.loads(path.read_text(encoding="utf-8"))
    if row not in known["rows"]:
        raise ValueError(f"{cell}: {study} has no row {row!r}{_nearest(row, known['rows'])}")
    about = known["rows"][row]
    name = f"{row}.{score}" if ".re" in score else f"{row}.{score}.re{about['n_re_train']}"
    if name not in known["cells"]:
        raise ValueError(f"{cell}: there is no number{_nearest(name, known['cells'])}")
    found = known["cells"][name]
    runs = {identity: dict(known["runs"][identity]) for identity in found["runs"]}
    settings = differing_settings(known["runs"])
    for identity, run in runs.items():
        run["settings"] = settings[identity]
        run["code_changed"] = None if code_hash is None else run["code_hash"] != code_hash
    return {
        "cell": f"{study}:{name.replace('.', ':', 1)}",
        **{key: known[key] for key in ("study", "profile", "study_hash", "interval")},
        "row": row,
        **about,
        "corpus": known["corpora"].get(about["corpus"]) or known["corpus"],
        "value": found["mean"],
        "low": found["interval"][0],
        "high": found["interval"][1],
        **{k: found[k] for k in ("seed_sd", "n_mixtures", "n_speakers", "n_missing")},
        "evaluations": found["evaluations"],
        "runs": runs,
        "claims": [claim for claim in known["claims"] if f"'{row}'" in claim["expr"]],
    }


def why_text(answer: dict[str, Any]) -> str:
    """The answer of `why` for a person."""
    score = answer["cell"].rpartition(":")[2].partition(".")[0]
    span = "" if answer["low"] is None else f" [{answer['low']:.2f}, {answer['high']:.2f}]"
    lines = [
        f"{answer['cell']} = {answer['value']:.2f} dB{span} {METRIC_LABELS[score]}",
        f"  row       {answer['label']} ({answer['name']}), trained at N_re = "
        f"{answer['n_re_train']}",
        f"  over      {answer['n_mixtures']} mixtures, {answer['n_speakers']} speakers, "
        f"{len(answer['runs'])} runs; {answer['n_missing']} scores undefined",
        f"  profile   {answer['profile']}, study hash {answer['study_hash'][:10]}",
        f"  corpus    {answer['corpus']['source']}, manifest "
        f"{answer['corpus'].get('manifest', '')[:10]}",
    ]
    if answer["paper"]:
        quoted = ", ".join(f"{name} {value}" for name, value in answer["paper"].items())
        lines.append(f"  paper     {quoted}")
    for evaluation, (identity, run) in zip(
        answer["evaluations"], answer["runs"].items(), strict=True
    ):
        lines += _run_lines(identity, evaluation, run)
    lines += [f"  claim     {claim['status']}: {claim['expr']}" for claim in answer["claims"]]
    return "\n".join(lines) + "\n"


def differing_settings(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings in which the runs of a study differ, per run: {"model.n_re": 6, ...}."""
    flat = {identity: _flat(run.get("config") or {}) for identity, run in runs.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    differ = [k for k in keys if len({str(settings.get(k)) for settings in flat.values()}) > 1]
    return {identity: {k: flat[identity].get(k) for k in differ} for identity in flat}


def number(value: float) -> float | None:
    """Rounded to a micro-decibel, so that other machines' last bits give the same file."""
    return None if pd.isna(value) else round(float(value), 6)


def _split(cell: str) -> tuple[str, str, str]:
    parts = cell.split(":")
    if len(parts) != 3 or not all(parts):
        raise ValueError(
            f"{cell!r} is not a cell; one looks like table3:l3:si_snri or fig2a:l1+3:sdri.re6"
        )
    score = parts[2].partition(".")[0]
    if score not in METRIC_LABELS:
        raise ValueError(f"{cell}: {score!r} is not a score; there are {', '.join(METRIC_LABELS)}")
    return parts[0], parts[1], parts[2]


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.3)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are: {', '.join(known) or 'none'}"


def _run_lines(identity: str, evaluation: str, run: dict[str, Any]) -> list[str]:
    commit = (run.get("commit") or "no commit")[:10] + (" with changes" if run.get("dirty") else "")
    settings = ", ".join(f"{key}={value}" for key, value in run["settings"].items())
    changed = {None: "", True: ", CHANGED SINCE", False: ", unchanged"}[run["code_changed"]]
    return [
        f"  run       {identity[:10]} seed {run['seed']}: {run['status']}, {run['steps']} steps, "
        f"evaluation {evaluation[:10]}",
        f"            code {(run.get('code_hash') or 'unknown')[:10]}{changed}, {commit}",
        f"            test set {(run.get('test_manifest') or '')[:10]}",
        f"            config {settings or 'that of the other rows'}",
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _run(run: Mapping[Hashable, Any]) -> dict[str, Any]:
    shown = ("seed", "name", "status", "steps", "seconds", "test_manifest", "code_hash", "commit")
    known = {key: None if pd.isna(run[key]) else run[key] for key in (*shown, "dirty")}
    return known | {"config": run["config"] if isinstance(run["config"], dict) else None}


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    return {
        key: number(value) if isinstance(value, float) else value for key, value in verdict.items()
    }


def _analysis_hash() -> str:
    """One hash over the code that turned scores into numbers."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
