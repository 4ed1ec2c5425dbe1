"""`--json`: the answer of a command that reads, as one JSON document on stdout.

Each function below makes the document of one command; its docstring lists the keys, which keep
their names and meaning within a `schema`. Lists are objects of one kind. Scores are in dB, or in
the unit beside them, times in seconds unless a key says hours, memory in bytes. A value that is
undefined, infinite or unknown is null. Notes and errors go to stderr, and exit codes are those
without `--json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tisdiss.analysis.power import ClaimPower, NoPower
    from tisdiss.analysis.provenance import Answer, RunOrigin
    from tisdiss.analysis.results import Results
    from tisdiss.cost.measured import Profile
    from tisdiss.data.check.finding import Finding
    from tisdiss.harness.diff import Difference
    from tisdiss.harness.display import StatusLine
    from tisdiss.harness.gc import Collected
    from tisdiss.harness.plan import Plan, PlannedRun
    from tisdiss.harness.reproduction.reproduce import Reproduction
    from tisdiss.records.files import JsonObject
    from tisdiss.records.report_record import Verdict

SCHEMA = 1
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; keys: tisdiss/cli/answers.py.")
]


def print_json(command: str, document: Mapping[str, object]) -> None:
    """Print a document, with the command's name and the version of its keys before it."""
    whole = _plain({"schema": SCHEMA, "command": command, **document})
    typer.echo(json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def plan_document(plan: Plan, runs_dir: Path) -> JsonObject:
    """profile; runs: run (identity, null if unknown), model, kind, seed, parent, parameters,
    macs_per_second (at the trained depth), memory (of a training step; null if unknown), seconds,
    state, shown_in (study/row), unknown (why); basis of the times: macs_per_second, device, source;
    seconds of all runs that are not done; notes.
    """
    from tisdiss.harness.estimate import find_basis, left, seconds

    basis = find_basis(plan, runs_dir)
    times = [seconds(run, basis) for run in plan.runs]
    return {
        "profile": plan.profile,
        "runs": [_planned(run, time) for run, time in zip(plan.runs, times, strict=True)],
        "basis": basis and asdict(basis),
        "seconds": sum(seconds(run, basis) or 0.0 for run in left(plan.runs)) if basis else None,
        "notes": list(plan.notes),
    }


def _planned(run: PlannedRun, seconds: float | None) -> JsonObject:
    from tisdiss.cost.planned import macs_per_second, parameters
    from tisdiss.harness.estimate import gibibytes

    model, memory = run.config.model, gibibytes(run)
    return {
        "run": None if run.unknown else run.identity,
        "model": run.name,
        "kind": run.kind,
        "seed": run.seed,
        "parent": run.parent,
        "parameters": parameters(model),
        "macs_per_second": macs_per_second(model),
        "memory": None if memory is None else round(memory * 2**30),
        "seconds": seconds,
        "state": None if run.unknown else run.state,
        "shown_in": sorted({f"{member.study}/{member.row}" for member in run.members}),
        "unknown": run.unknown,
    }


def status_document(lines: Sequence[StatusLine]) -> JsonObject:
    """rows: study, profile, row, run, seed, state (new, partial, running, done, failed, damaged),
    progress (text); row and run are empty for a plan that cannot be read.
    """
    return {"rows": [asdict(line) for line in lines]}


def claims_document(verdicts: Sequence[Verdict], profile: str) -> JsonObject:
    """profile; claims: study, claim, status, says, expr, source, kind, reason, same_as, difference,
    low, high, unit, p, p_holm, mixtures, speakers, seeds, most_seeds.
    """
    return {"profile": profile, "claims": [_verdict(verdict) for verdict in verdicts]}


def _verdict(verdict: Verdict) -> JsonObject:
    names = ("status", "says", "expr", "source", "kind", "reason", "same_as")
    numbers = ("difference", "low", "high", "unit", "p", "p_holm")
    return {
        "study": verdict.study,
        "claim": verdict.id,
        **{name: getattr(verdict, name) for name in (*names, *numbers)},
        "mixtures": verdict.n_mixtures,
        "speakers": verdict.n_speakers,
        "seeds": verdict.n_seeds,
        "most_seeds": max(verdict.n_seeds, verdict.most_seeds),
    }


def why_document(answer: Answer) -> JsonObject:
    """cell; value (text with its unit); mean, low, high, mixtures, speakers, missing (null if the
    cell is no score); profile; study_hash; row (id, label, model, n_re_train) or null; runs: run,
    seed, status, steps, scored, evaluation, test_manifest, code_hash, code_changed, commit, dirty,
    settings (those in which the study's runs differ); claims, as in `claims --json`.
    """
    numbers, row = answer.numbers, answer.row
    low, high = numbers.interval if numbers else (None, None)
    return {
        "cell": answer.cell,
        "value": answer.value,
        "mean": numbers and numbers.mean,
        "low": low,
        "high": high,
        "mixtures": numbers and numbers.n_mixtures,
        "speakers": numbers and numbers.n_speakers,
        "missing": numbers and numbers.n_missing,
        "profile": answer.plan.profile,
        "study_hash": answer.plan.study_hash,
        "row": row
        and {"id": row.id, "label": row.label, "model": row.name, "n_re_train": row.n_re_train},
        "runs": [_origin(origin) for origin in answer.runs],
        "claims": [_verdict(verdict) for verdict in answer.claims],
    }


def _origin(origin: RunOrigin) -> JsonObject:
    names = ("seed", "status", "steps", "scored", "evaluation", "test_manifest", "code_hash")
    return {
        "run": origin.run.identity,
        **{name: getattr(origin.run, name) for name in (*names, "commit", "dirty")},
        "code_changed": origin.code_changed,
        "settings": origin.settings,
    }


def evaluate_document(results: Results) -> JsonObject:
    """study; profile; scores: row, label, metric, n_re, mean, low, high (95 % interval), mixtures,
    speakers.
    """
    names = ("row", "label", "metric", "n_re", "mean", "low", "high")
    lines = [line for curve in results.curves.values() for line in curve.to_dict("records")]
    return {
        "study": results.plan.study,
        "profile": results.plan.profile,
        "scores": [
            {name: line[name] for name in names}
            | {"mixtures": line["n_mixtures"], "speakers": line["n_speakers"]}
            for line in lines
        ],
    }


def diff_document(differences: Sequence[Difference]) -> JsonObject:
    """differences: part (config, data, environment, packages, code, result, scores), what, a, b."""
    return {"differences": [asdict(difference) for difference in differences]}


def reproduce_document(result: Reproduction) -> JsonObject:
    """run; model; verdict (equal, equal within rounding, different); agreements: what, count,
    equal, difference, bound, where, verdict; causes: part, what, a (then), b (now), the likeliest
    first; code; packages; parent (text, or null); notes; scratch (null if it was removed).
    """
    compared = [{**asdict(each), "verdict": each.verdict} for each in result.agreements]
    return asdict(result) | {"agreements": compared}


def power_document(claims: Sequence[ClaimPower | NoPower], study: str, profile: str) -> JsonObject:
    """study; profile; claims: claim, status, reason (why there is no estimate), difference, unit,
    seeds, mixtures, detectable (now); deviations: speakers, mixtures, training (null if unknown),
    assumed; plans: seeds, mixtures, detectable, hours; needs: the least of the plans that would
    find the observed difference, or null.
    """
    return {"study": study, "profile": profile, "claims": [_power(claim) for claim in claims]}


def _power(claim: ClaimPower | NoPower) -> JsonObject:
    from tisdiss.analysis.power import NoPower

    head = {"claim": claim.verdict.id, "status": claim.verdict.status}
    if isinstance(claim, NoPower):
        numbers = ("difference", "unit", "seeds", "mixtures", "detectable", "deviations", "needs")
        return {**head, "reason": claim.reason, **dict.fromkeys(numbers), "plans": []}
    return {
        **head,
        "reason": None,
        "difference": claim.estimate.mean,
        "unit": claim.verdict.unit,
        "seeds": claim.seeds,
        "mixtures": claim.mixtures,
        "detectable": claim.now,
        "deviations": asdict(claim.parts),
        "plans": [asdict(plan) for plan in claim.plans],
        "needs": claim.needs and asdict(claim.needs),
    }


def profile_document(cost: Profile) -> JsonObject:
    """model; parameters; seconds (of audio); device; threads; macs; macs_by_part; macs_by_n_re;
    real_time_factor; peak_memory.
    """
    plain = asdict(cost)
    return {"model": plain.pop("name"), **plain, "macs": cost.macs}


def check_document(findings: Sequence[Finding], corpus: str) -> JsonObject:
    """corpus; failed; findings: level (PASS, WARN, FAIL), check, message, cause ("" if none)."""
    from tisdiss.data.check.finding import failed

    plain = [asdict(finding) for finding in findings]
    return {"corpus": corpus, "failed": failed(findings), "findings": plain}


def stats_document(
    parts: Mapping[str, Mapping[str, float]], corpus: str, manifest: str
) -> JsonObject:
    """corpus; parts by name: mixtures or utterances, speakers, hours, min_s, mean_s, max_s, and
    si_snr and sdr of the mixtures; manifest (null if it was not computed).
    """
    return {"corpus": corpus, "parts": parts, "manifest": manifest or None}


def gc_document(collected: Collected, *, dry_run: bool) -> JsonObject:
    """deleted (false with --dry-run); rubbish: path, reason, bytes; bytes of all; problems."""
    return {
        "deleted": not dry_run,
        "rubbish": [asdict(rubbish) for rubbish in collected.rubbish],
        "bytes": sum(rubbish.bytes for rubbish in collected.rubbish),
        "problems": collected.problems,
    }
