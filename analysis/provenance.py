"""Where every number comes from, and the way back: `why("table3:l3:si_snri")`.

A cell is named study:row:score.re<depth>; without a depth it is the one the row was trained at. A
size is study:row:params, a verdict study:claim:<id>. `numbers.tex` uses the same names.
"""

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from tisdiss.analysis.captions import METRIC_LABELS, covered, source_of
from tisdiss.analysis.cell import split_cell
from tisdiss.analysis.frames import (
    PROVENANCE_SCHEMA,
    corpora,
    read_provenance,
    role,
    run_records,
)
from tisdiss.analysis.places import PROVENANCE, check_reported
from tisdiss.analysis.results import Results
from tisdiss.analysis.stats import LEVEL
from tisdiss.analysis.verdict import Verdict
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.revision import CODE_SCOPE, in_history


def provenance(results: Results) -> dict[str, Any]:
    """Every cell "<row>.<score>.re<n>" with its runs; the plan, and every run with its config."""
    frames = results.frames
    scored = frames.runs[frames.runs["scored"].astype(bool)]
    by_row = dict(tuple(scored.groupby("row", sort=False)))
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
        "schema": PROVENANCE_SCHEMA,
        "interval": {"level": LEVEL, "method": "crossed speakers", "over": covered(results.curve)},
        "undefined_scores": frames.undefined,
        "analysis_hash": _analysis_hash(),
        "cells": cells,
        "claims": [_verdict(vars(verdict)) for verdict in results.verdicts],
        "plan": results.plan,
        "runs": [run | origin(run) for run in run_records(frames)],
    }


def origin(run: dict[str, Any]) -> dict[str, Any]:
    """What the settings and the history at hand say of a run beside its own records."""
    known = in_history(run["commit"]) if run["commit"] else None
    return {
        "planned_steps": planned_steps(run["config"]),
        "commit_in_history": run.get("commit_in_history") if known is None else known,
    }


def planned_steps(config: Mapping[str, Any] | None) -> int | None:
    """The updates of a training that goes through all its epochs; None where it is not known."""
    try:
        settings = config or {}
        an_epoch = settings.get("steps_per_epoch") or -(
            -settings["data"]["train_mixtures"] // settings["batch_size"]
        )
        return int(settings["epochs"] * an_epoch)
    except (KeyError, TypeError):  # of an early version
        return None


def why(
    cell: str, *, reports: Path = Path("reports"), code_hash: str | None = None
) -> dict[str, Any]:
    """What stands behind a number of a report: value, runs, config, data and code.

    `cell` is study:row:score, study:row:score.re5, study:row:params or study:claim:<id>.
    `code_hash` is that of the model's code as it is now
    (`tisdiss.records.revision.code_hash()`); each run then says whether the code changed since, or
    None if its hash covers other files (`revision.CODE_SCOPE`).
    Its `settings` are those in which the study's runs differ. A ValueError names the nearest cell
    when there is none of that name.
    """
    study, row, score = split_cell(cell)
    known = _known(cell, Path(reports), study)
    if row == "claim":
        answer = _why_claim(cell, known, score)
    else:
        answer = _why_number(cell, known, row, score)
    settings = differing_settings({run["identity"]: run for run in known["runs"]})
    runs = [
        run
        | origin(run)
        | {
            "settings": settings[run["identity"]],
            "code_changed": None
            if code_hash is None or run.get("code_scope") != CODE_SCOPE
            else run["code_hash"] != code_hash,
        }
        for run in known["runs"]
        if run["row"] in answer["rows"]
    ]
    plan = known["plan"]
    return answer | {key: plan[key] for key in ("study", "profile", "study_hash")} | {"runs": runs}


def _known(cell: str, reports: Path, study: str) -> dict[str, Any]:
    check_reported(cell, reports, study)
    return read_provenance(reports / study / PROVENANCE)


def _why_number(cell: str, known: dict[str, Any], row: str, score: str) -> dict[str, Any]:
    rows = {about["id"]: about for about in known["plan"]["rows"]}
    quoted = {about["id"]: about for about in known["plan"].get("published") or ()}
    if row in quoted:
        return _why_quoted(cell, known, quoted[row], score)
    if row not in rows:
        raise ValueError(f"{cell}: there is no row {row!r}{_nearest(row, rows)}")
    about = rows[row]
    shared = {
        "rows": [row],
        "label": f"{about['label']} ({about['name']})",
        "n_re_train": about["n_re_train"],
        "paper": about.get("paper"),
        "corpus": dict(corpora(known["plan"]))[role(about)],
        "claims": [c for c in known["claims"] if row in rows_of(parse(c["expr"]))],
    }
    if score == "params":
        return shared | {"cell": cell, "unit": "parameters", "value": about["params"]}
    name = f"{row}.{score}" if ".re" in score else f"{row}.{score}.re{about['n_re_train']}"
    if name not in known["cells"]:
        raise ValueError(f"{cell}: there is no number{_nearest(name, known['cells'])}")
    found = known["cells"][name]
    return shared | {
        "cell": f"{known['plan']['study']}:{row}:{name.removeprefix(row + '.')}",
        "unit": f"dB {METRIC_LABELS[score.partition('.')[0]]}",
        "value": found["mean"],
        "low": found["interval"][0],
        "high": found["interval"][1],
        "interval": known["interval"],
        **{k: found[k] for k in ("seed_sd", "n_mixtures", "n_speakers", "n_missing")},
    }


def _why_quoted(
    cell: str, known: dict[str, Any], row: dict[str, Any], score: str
) -> dict[str, Any]:
    numbers = {"params" if name == "params_m" else name: n for name, n in row["published"].items()}
    if score not in numbers:
        raise ValueError(f"{cell}: it is not reported{_nearest(score, numbers)}")
    unit = "M" if score == "params" else "dB"
    return {
        "cell": cell,
        "rows": [],
        "quoted": f"{numbers[score]:g} {unit}, reported by others: {source_of(row)}",
        "claims": [c for c in known["claims"] if row["id"] in rows_of(parse(c["expr"]))],
    }


def _why_claim(cell: str, known: dict[str, Any], claim: str) -> dict[str, Any]:
    claims = {found["id"]: found for found in known["claims"]}
    if claim not in claims:
        raise ValueError(f"{cell}: there is no claim {claim!r}{_nearest(claim, claims)}")
    found = claims[claim]
    return {"cell": cell, "rows": rows_of(parse(found["expr"])), "claims": [found]}


def why_text(answer: dict[str, Any]) -> str:
    """The answer of `why` for a person."""
    lines = [answer["cell"]]
    if "quoted" in answer:
        lines = [f"{answer['cell']} = {answer['quoted']}"]
    if "value" in answer:
        lines = [f"{answer['cell']} = {_value(answer)}", *_about(answer)]
    lines.append(f"  profile   {answer['profile']}, study hash {answer['study_hash'][:10]}")
    for run in answer["runs"]:
        lines += _run_lines(run)
    for claim in answer["claims"]:
        known = Verdict.from_json(claim)
        said = "; ".join(filter(None, [known.source, known.numbers, known.reason]))
        shown = [f"{known.status}: {known.says or known.expr}", said, known.expr]
        lines += [
            f"  {head:<10}{text}" for head, text in zip(("claim", "", ""), shown, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _value(answer: dict[str, Any]) -> str:
    if answer["unit"] == "parameters":
        return f"{answer['value']:,} parameters"
    low, high = answer["low"], answer["high"]
    span = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{answer['value']:.2f}{span} {answer['unit']}"


def _about(answer: dict[str, Any]) -> list[str]:
    lines = [f"  row       {answer['label']}, trained at N_re = {answer['n_re_train']}"]
    if "n_mixtures" in answer:
        runs = sum(run["scored"] for run in answer["runs"])
        lines.append(
            f"  over      {answer['n_mixtures']} mixtures, {answer['n_speakers']} speakers, "
            f"{runs} run{'s' if runs != 1 else ''}; {answer['n_missing']} scores undefined"
        )
    corpus = answer["corpus"]
    lines.append(f"  corpus    {corpus['source']}, manifest {corpus.get('manifest', '')[:10]}")
    if answer["paper"]:
        quoted = ", ".join(f"{name} {value}" for name, value in answer["paper"].items())
        lines.append(f"  paper     {quoted}")
    return lines


def differing_settings(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings in which the runs of a study differ, per run: {"model.n_re": 6, ...}."""
    flat = {identity: _flat(run.get("config") or {}) for identity, run in runs.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    differ = [k for k in keys if len({str(settings.get(k)) for settings in flat.values()}) > 1]
    return {identity: {k: flat[identity].get(k) for k in differ} for identity in flat}


def number(value: float) -> float | None:
    """Rounded to a micro-decibel, so that other machines' last bits give the same file."""
    return None if pd.isna(value) else round(float(value), 6)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.3)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are: {', '.join(known) or 'none'}"


def _run_lines(run: Mapping[str, Any]) -> list[str]:
    settings = ", ".join(f"{key}={value}" for key, value in run["settings"].items())
    changed = {None: "", True: ", CHANGED SINCE", False: ", unchanged"}[run["code_changed"]]
    if run.get("code_scope") != CODE_SCOPE:
        changed = " (by an earlier rule: not comparable)"
    if not run["scored"]:
        return [f"  run       {run['identity'][:10]} seed {run['seed']}: {run['status']}"]
    return [
        f"  run       {run['identity'][:10]} seed {run['seed']}: {run['status']}, {run['steps']} "
        f"steps{other_steps(run)}, evaluation {run['evaluation'][:10]}",
        f"            code {(run['code_hash'] or 'unknown')[:10]}{changed}",
        f"            {origin_text(run)}",
        f"            test set {(run['test_manifest'] or '')[:10]}",
        f"            config {settings or 'that of the other rows'}",
    ]


def other_steps(run: Mapping[str, Any]) -> str:
    """What the settings ask for, where a training that ended by them took another number."""
    planned = run.get("planned_steps")
    ended = run["reason"] == "epochs" and run["steps"] is not None
    return f" (its settings say {planned})" if ended and planned not in (None, run["steps"]) else ""


def origin_text(run: Mapping[str, Any]) -> str:
    """The commit of a run and what is not sure about it, in a few words."""
    if not run["commit"]:
        return "commit not known"
    changes = {None: "changes not known", True: "with changes that were not kept", False: ""}
    later = run.get("later_commits")
    said = [
        f"commit {run['commit'][:10]}",
        "not in this history" if run.get("commit_in_history") is False else "",
        changes[run["dirty"]],
        f"went on at {', '.join(commit[:10] for commit in later.split(', '))}" if later else "",
    ]
    return ", ".join(filter(None, said))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    return {
        key: number(value) if isinstance(value, float) else value for key, value in verdict.items()
    }


def _analysis_hash() -> str:
    """One hash over the code that turned scores into numbers."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
