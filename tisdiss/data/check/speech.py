"""`tisdiss data check` of speech that mixtures are made of: a source, or WSJ0 itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tisdiss.data.audio import active_rms
from tisdiss.data.build import wsj0_mix
from tisdiss.data.check.finding import Finding, some
from tisdiss.data.check.part import SECOND_MICROPHONE
from tisdiss.data.draw import rank
from tisdiss.data.layouts import WSJ0_2MIX
from tisdiss.data.source import SPLITS, Source
from tisdiss.machine.progress import Progress, silent
from tisdiss.sound.decode import Refused


def check_source(source: Source) -> list[Finding]:
    """Findings about speech that mixtures are made of: a folder, prompts, LibriSpeech."""
    findings = [Finding("PASS", "splits", source.report["split_rule"])]
    for split in SPLITS:
        rows = source.split(split)
        speakers = len({u.speaker for u in rows})
        text = f"{len(rows)} utterances of {speakers} speakers"
        enough = speakers >= 2
        cause = "" if enough else "too few recordings; a mixture needs two speakers"
        findings.append(Finding("PASS" if enough else "FAIL", split, text, cause))
    by_split = {split: {u.speaker for u in source.split(split)} for split in SPLITS}
    for first, second in (("train", "test"), ("val", "test"), ("train", "val")):
        shared, check = by_split[first] & by_split[second], f"speakers of {first} and {second}"
        if shared:
            text = f"{len(shared)} in both: {some(sorted(shared))}"
            findings.append(Finding("WARN", check, text, "too few speakers to keep apart"))
        else:
            findings.append(Finding("PASS", check, "none in both"))
    if source.note:
        findings.append(Finding("WARN", "note", source.note))
    for rule, row in source.report["refused"].items():
        findings.append(Finding("WARN", "refused", f"{row['count']}: {rule} ({row['example']})"))
    for rule, row in source.report["converted"].items():
        findings.append(Finding("PASS", "converted", f"{row['count']}: {rule} ({row['example']})"))
    return findings


def check_wsj0(
    root: Path,
    lists: Path,
    *,
    utterances: int = 200,
    on_progress: Progress = silent,
) -> list[Finding]:
    """Findings about WSJ0 itself, before mixtures are made of it."""
    try:
        files, levels = wsj0_mix.find_utterances(root), wsj0_mix.read_levels(lists)
        parts = {p.folder: wsj0_mix.read_list(lists, p, levels) for p in WSJ0_2MIX.parts}
    except ValueError as error:
        cause = SECOND_MICROPHONE if ".wv2" in str(error) else "another folder, or another list"
        return [Finding("FAIL", "layout", str(error), cause)]
    rows = [row for part in parts.values() for row in part]
    needed = {u: lv for row in rows for u, lv in zip(row.utterances, row.levels, strict=True)}
    findings = []
    for name, part in parts.items():
        absent = [f"{place}: {utterance}" for place, utterance in wsj0_mix.missing(part, files)]
        text = some(absent) if absent else f"all recordings of {len(part)} rows are there"
        findings.append(Finding("FAIL" if absent else "PASS", f"{name} recordings", text))
    chosen = sorted((u for u in needed if u in files), key=rank)[:utterances]
    errors, bad = [], []
    for i, name in enumerate(chosen):
        try:
            level = active_rms(wsj0_mix.read_utterance(files[name]), wsj0_mix.RATE)
            errors.append(20 * np.log10(max(level, 1e-9)) - 10 * np.log10(needed[name]))
        except Refused as refusal:
            bad.append(str(refusal))
        on_progress(i + 1, len(chosen))
    findings.append(
        Finding("FAIL" if bad else "PASS", "files", some(bad) or f"{len(errors)} can be read")
    )
    if errors:
        findings.append(_microphone(errors))
    return findings


def _microphone(errors: Sequence[float]) -> Finding:
    middle, spread = float(np.median(errors)), float(np.subtract(*np.quantile(errors, [0.9, 0.1])))
    text = (
        f"active levels differ from the official ones by {middle:+.1f} dB, within {spread:.1f} dB"
    )
    if abs(middle) < 1.5 and spread < 3:
        return Finding("PASS", "microphone", text)
    return Finding("FAIL", "microphone", text, f"{SECOND_MICROPHONE}; or levels were changed")
