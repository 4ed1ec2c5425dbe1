"""`tisdiss data check`: is this the corpus that the paper used? Findings, each with a likely cause.

PASS: as it should be. WARN: fewer files than the official corpus, or something that could not be
decided; results on it may not be comparable. FAIL: not the corpus, or broken. `examine.py`
measures, `doctor_speech.py` looks at the speech that mixtures are made of.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from tisdiss.data import libri2mix, wsj0_mix
from tisdiss.data.audio import Refused
from tisdiss.data.draw import rank
from tisdiss.data.examine import Header, Measured, header, measure
from tisdiss.data.layouts import WSJ0_2MIX, Layout, Part, Roles, layout_of, stems

Level = Literal["PASS", "WARN", "FAIL"]
Progress = Callable[[int, int], None]
SUM_STEPS = 0.5
"""Steps of 16 bits by which the mixture, and each file that it is the sum of, are rounded."""
LEVEL_TOLERANCE_DB = 0.3
NOT_AT_ALL_DB = 1.0
GAIN_TOLERANCE_DB = 1.0
QUIET_FLOOR_DB = 20.0
HALVED_PITCH_HZ = 125.0
SHOWN = 3
SECOND_MICROPHONE = "made of .wv2, the second microphone, where .wv1 belongs: 1-2 dB worse results"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    check: str
    message: str
    cause: str = ""

    def __str__(self) -> str:
        cause = f"\n     likely cause: {self.cause}" if self.cause else ""
        return f"{self.level} {self.check}: {self.message}{cause}"


@dataclass
class Looked:
    """One part of a corpus, as it was found."""

    part: Part
    names: list[str]
    headers: dict[str, Header] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)


def failed(findings: Sequence[Finding]) -> bool:
    """Whether the command ends with an error."""
    return any(finding.level == "FAIL" for finding in findings)


def check(
    corpus: str,
    root: Path,
    *,
    condition: str | None = None,
    lists: Path | None = None,
    sample_rate: int = 8000,
    n_src: int = 2,
    mixtures: int | None = 100,
    on_progress: Progress = lambda done, total: None,
) -> list[Finding]:
    """Findings about a stored corpus at `root`.

    The header of every file is read; `mixtures` of each part (None: all) are measured. With
    `lists`, names are compared with the official ones.
    """
    layout = layout_of(corpus)
    condition = layout.condition(condition)
    try:
        home = layout.find(root, sample_rate=sample_rate, n_src=n_src, condition=condition)
    except ValueError as error:
        return [Finding("FAIL", "layout", str(error), "another folder, or a version not made yet")]
    roles = layout.roles(condition, n_src)
    findings = [Finding("PASS", "layout", f"{layout.title}, {condition}, at {home}")]
    looked = []
    for part in layout.parts:
        names = stems(home / part.folder / roles.mixture)
        if names:
            looked.append(_look(home, part, roles, names, mixtures, layout.gains, on_progress))
        else:
            findings += _absent(layout, part)
    for one in looked:
        findings += _check_part(home, layout, roles, one, lists, sample_rate, n_src)
    findings += _check_speakers(layout, looked)
    findings += _check_duplicates(looked)
    findings += _check_level(layout, condition, looked, n_src)
    return findings


def _absent(layout: Layout, part: Part) -> list[Finding]:
    if part.split == "train" and sum(p.split == "train" for p in layout.parts) > 1:
        return [Finding("WARN", f"{part.folder} count", "is not there; the other one may serve")]
    level: Level = "FAIL" if part.split == "test" else "WARN"
    return [
        Finding(level, f"{part.folder} count", f"0 mixtures of {part.mixtures}", "not made yet")
    ]


def _look(
    home: Path,
    part: Part,
    roles: Roles,
    names: list[str],
    mixtures: int | None,
    gains: bool,
    on_progress: Progress,
) -> Looked:
    looked, folder = Looked(part, names), home / part.folder
    chosen = sorted(names, key=rank)[: mixtures or len(names)]
    for i, name in enumerate(names):
        for role in roles.needed:
            path = folder / role / f"{name}.wav"
            try:
                if path.is_file():
                    looked.headers[f"{role}/{name}"] = header(path)
            except Refused as refusal:
                looked.refused[f"{part.folder}/{role}/{name}.wav"] = str(refusal)
        on_progress(i + 1, len(names) + len(chosen))
    for i, name in enumerate(chosen):
        if all(f"{role}/{name}" in looked.headers for role in roles.needed):
            try:
                looked.measured[name] = measure(folder, roles, name, gains=gains)
            except Refused as refusal:
                looked.refused[f"{part.folder}/*/{name}.wav"] = str(refusal)
        on_progress(len(names) + i + 1, len(names) + len(chosen))
    return looked


def _check_part(
    home: Path,
    layout: Layout,
    roles: Roles,
    looked: Looked,
    lists: Path | None,
    sample_rate: int,
    n_src: int,
) -> Iterator[Finding]:
    at = looked.part.folder
    yield _count(layout, looked, n_src)
    yield _halves(home, roles, looked)
    if lists is not None:
        yield _names(layout, looked, lists, n_src)
    yield _whole(looked)
    yield _rate(looked, sample_rate)
    yield _lengths(looked, roles)
    if not looked.measured:
        yield Finding("FAIL", f"{at} sound", "not one mixture could be measured")
        return
    yield _duration(looked, roles)
    yield _sums(looked, roles)
    yield _sound(looked)
    if layout.gains:
        yield _gains(looked)
        yield _floor(looked)


def _count(layout: Layout, looked: Looked, n_src: int) -> Finding:
    part, found = looked.part, len(looked.names)
    check = f"{part.folder} count"
    if n_src != 2:
        return Finding("PASS", check, f"{found} mixtures of {n_src}; no official number is known")
    text = f"{found} mixtures, officially {part.mixtures}"
    if found == part.mixtures:
        return Finding("PASS", check, text)
    cause = "an interrupted copy or build" if found < part.mixtures else "files of something else"
    return Finding("WARN" if found < part.mixtures else "FAIL", check, text, cause)


def _halves(home: Path, roles: Roles, looked: Looked) -> Finding:
    check, lost = f"{looked.part.folder} halves", []
    for role in roles.sources:
        there = set(stems(home / looked.part.folder / role))
        lost += [f"{role}/{name}.wav is not there" for name in looked.names if name not in there]
        lost += [f"{role}/{n}.wav has no mixture" for n in sorted(there - set(looked.names))]
    if not lost:
        return Finding("PASS", check, f"{roles.mixture}, {', '.join(roles.sources)} agree")
    return Finding("FAIL", check, some(lost), "an interrupted copy or build")


def _names(layout: Layout, looked: Looked, lists: Path, n_src: int) -> Finding:
    check = f"{looked.part.folder} names"
    try:
        if layout is WSJ0_2MIX or layout.voice == WSJ0_2MIX.voice:
            levels = wsj0_mix.read_levels(lists)
            official = {r.name for r in wsj0_mix.read_list(lists, looked.part, levels, n_src)}
        else:
            rows = libri2mix.read_list(lists, looked.part, noisy=False, n_src=n_src)
            official = {row.name for row in rows}
    except ValueError as error:
        return Finding("WARN", check, f"not compared: {error}")
    foreign = [name for name in looked.names if name not in official]
    if foreign:
        return Finding("FAIL", check, f"not in the official list: {some(foreign)}", "another list")
    return Finding("PASS", check, f"all in the official list of {len(official)}")


def _whole(looked: Looked) -> Finding:
    check = f"{looked.part.folder} files"
    if not looked.refused:
        return Finding("PASS", check, f"{len(looked.headers)} files can be read")
    bad = [f"{name}: {rule}" for name, rule in sorted(looked.refused.items())]
    return Finding("FAIL", check, some(bad), "an interrupted copy, or a damaged disk")


def _rate(looked: Looked, sample_rate: int) -> Finding:
    check = f"{looked.part.folder} rate"
    rates = Counter(h.rate for h in looked.headers.values())
    if set(rates) <= {sample_rate}:
        return Finding("PASS", check, f"{sample_rate} Hz")
    text = ", ".join(f"{count} files of {rate} Hz" for rate, count in sorted(rates.items()))
    return Finding("FAIL", check, text, f"a wav{max(rates) // 1000}k version was copied here")


def _lengths(looked: Looked, roles: Roles) -> Finding:
    check, bad = f"{looked.part.folder} lengths", []
    for name in looked.names:
        found = {h.samples for r in roles.needed if (h := looked.headers.get(f"{r}/{name}"))}
        if len(found) > 1:
            bad.append(name)
    if not bad:
        return Finding("PASS", check, "mixtures and sources are equally long")
    return Finding("FAIL", check, f"mixture and sources differ: {some(bad)}", "mixed versions")


def _duration(looked: Looked, roles: Roles) -> Finding:
    """Lengths and pitch together tell 16 kHz samples that are called 8 kHz."""
    part, check = looked.part, f"{looked.part.folder} duration"
    rows = [looked.headers[f"{roles.mixture}/{n}"] for n in looked.measured]
    every = [h for key, h in looked.headers.items() if key.startswith(f"{roles.mixture}/")]
    mean = float(np.mean([h.samples / h.rate for h in every]))
    hours = sum(h.samples / h.rate for h in every) / 3600
    pitches = [p for m in looked.measured.values() for p in m.pitch]
    pitch = float(np.median(pitches)) if pitches else 0.0
    text = f"{hours:.2f} h, mean {mean:.2f} s, median pitch {pitch:.0f} Hz"
    low, high = part.mean_seconds
    if mean > high and 0 < pitch < HALVED_PITCH_HZ:
        return Finding("FAIL", check, text, "16 kHz audio taken for 8 kHz: it plays at half speed")
    padded = sum(m.ends_early for m in looked.measured.values())
    if padded > 0.3 * len(rows):
        cause = "the 'max' version, where the shorter source is padded with zeros"
        return Finding("FAIL", check, f"{text}; {padded} of {len(rows)} end in zeros", cause)
    if 0 < pitch < HALVED_PITCH_HZ / 1.25:
        return Finding("FAIL", check, text, "16 kHz audio taken for 8 kHz: it plays at half speed")
    if not low <= mean <= high:
        cause = "another version of the corpus, or a small part of it"
        return Finding("WARN", check, f"{text}; the mean is {low:g}-{high:g} s officially", cause)
    return Finding("PASS", check, text)


def _sums(looked: Looked, roles: Roles) -> Finding:
    check = f"{looked.part.folder} sums"
    errors = {n: m.sum_error for n, m in looked.measured.items() if m.sum_error is not None}
    what = f"{roles.mixture} = {' + '.join(roles.summands)}"
    if not errors:
        return Finding("WARN", check, f"{what} was not checked", "a summand's folder is not there")
    worst = max(errors.values())
    allowed = SUM_STEPS * (2 + len(roles.summands))
    bad = [f"{n} ({e:.0f})" for n, e in errors.items() if e > allowed]
    if not bad:
        return Finding(
            "PASS", check, f"{what} within {worst:.1f} steps of 16 bits in {len(errors)}"
        )
    cause = "files of different builds, sources and mixture scaled apart, or clipping"
    return Finding("FAIL", check, f"{what} is off by steps of 16 bits: {some(bad)}", cause)


def _sound(looked: Looked) -> Finding:
    check = f"{looked.part.folder} sound"
    silent = [f"{r}/{n}" for n, m in looked.measured.items() for r in m.silent]
    clipped = [f"{r}/{n}" for n, m in looked.measured.items() for r in m.clipped]
    if silent:
        return Finding("FAIL", check, f"silent: {some(silent)}", "a build that read empty files")
    if clipped:
        return Finding("WARN", check, f"clipped: {some(clipped)}", "gains were applied twice")
    return Finding("PASS", check, f"none silent or clipped of {len(looked.measured)} measured")


def _gains(looked: Looked) -> Finding:
    check = f"{looked.part.folder} gains"
    errors = [m.level_error for m in looked.measured.values() if m.level_error is not None]
    if not errors:
        return Finding("WARN", check, "the names tell no gains", "renamed files")
    middle = float(np.median(np.abs(errors)))
    text = f"levels differ from the gains in the names by {middle:.2f} dB (median)"
    if middle <= GAIN_TOLERANCE_DB:
        return Finding("PASS", check, text)
    cause = f"active levels of other recordings: {SECOND_MICROPHONE}; or no activity levels at all"
    return Finding("FAIL", check, text, cause)


def _floor(looked: Looked) -> Finding:
    check = f"{looked.part.folder} noise floor"
    floor = float(np.median([m.floor for m in looked.measured.values()]))
    text = f"speech is {floor:.0f} dB above the quietest tenth (median)"
    if floor >= QUIET_FLOOR_DB:
        return Finding("PASS", check, text)
    return Finding("WARN", check, text, f"perhaps {SECOND_MICROPHONE}")


def _check_speakers(layout: Layout, looked: Sequence[Looked]) -> Iterator[Finding]:
    heard: dict[str, set[str]] = {}
    for one in looked:
        voices = {s for name in one.names for s in layout.speakers(name)}
        heard.setdefault(one.part.split, set()).update(voices)
    for first, second in (("train", "test"), ("val", "test"), ("train", "val")):
        if first not in heard or second not in heard:
            continue
        shared, check = heard[first] & heard[second], f"speakers of {first} and {second}"
        text = f"{len(heard[first])} and {len(heard[second])} speakers, {len(shared)} in both"
        by_design = layout.closed and (first, second) == ("train", "val")
        if not shared or by_design:
            yield Finding("PASS", check, text + (", as it is officially" if shared else ""))
        else:
            yield Finding("FAIL", check, f"{text}: {some(sorted(shared))}", "parts were mixed up")


def _check_duplicates(looked: Sequence[Looked]) -> Iterator[Finding]:
    names = Counter(name for one in looked for name in one.names)
    twice = [name for name, count in names.items() if count > 1]
    marks: dict[str, str] = {}
    for one in looked:
        for key, mixture in one.headers.items():
            if key.startswith("mix"):
                here = f"{one.part.folder}/{key}"
                if mixture.mark in marks:
                    twice.append(f"{here} = {marks[mixture.mark]}")
                marks.setdefault(mixture.mark, here)
    if twice:
        yield Finding("FAIL", "duplicates", some(twice), "a part copied into another, or twice")
    else:
        yield Finding("PASS", "duplicates", f"no two of {len(marks)} mixtures are equal")


def _check_level(
    layout: Layout, condition: str, looked: Sequence[Looked], n_src: int
) -> Iterator[Finding]:
    """The unprocessed test mixtures against the level that is known."""
    known = layout.levels.get(condition) if n_src == 2 else None
    for one in looked:
        if one.part.split != "test" or not one.measured:
            continue
        si_snr = float(np.mean([v for m in one.measured.values() for v in m.si_snr]))
        sdr = float(np.mean([v for m in one.measured.values() for v in m.sdr]))
        text = f"SI-SNR {si_snr:.2f} dB, SDR {sdr:.2f} dB in {len(one.measured)} mixtures"
        if known is None:
            yield Finding("PASS", "mixture level", f"{text}; no figure is known")
            continue
        text += f"; known: {known.si_snr:.2f} dB"
        errors = [abs(si_snr - known.si_snr)]
        if known.sdr is not None:
            text += f", {known.sdr:.2f} dB"
            errors.append(abs(sdr - known.sdr))
        if max(errors) <= LEVEL_TOLERANCE_DB:
            yield Finding("PASS", "mixture level", text)
        elif max(errors) <= NOT_AT_ALL_DB or not known.sure:
            cause = "few mixtures, or another build of the corpus"
            yield Finding("WARN", "mixture level", text, cause)
        else:
            cause = "sources do not belong to the mixtures, or were scaled or shifted"
            yield Finding("FAIL", "mixture level", text, cause)


def stats(
    corpus: str,
    root: Path,
    *,
    condition: str | None = None,
    sample_rate: int = 8000,
    n_src: int = 2,
    mixtures: int | None = 100,
    on_progress: Progress = lambda done, total: None,
) -> dict[str, dict[str, float]]:
    """Per part: mixtures, speakers, hours, seconds, SI-SNR and SDR of the mixture in dB."""
    layout = layout_of(corpus)
    condition = layout.condition(condition)
    home = layout.find(root, sample_rate=sample_rate, n_src=n_src, condition=condition)
    roles, rows = layout.roles(condition, n_src), {}
    for part in layout.parts:
        names = stems(home / part.folder / roles.mixture)
        if not names:
            continue
        looked = _look(home, part, roles, names, mixtures, layout.gains, on_progress)
        seconds = [
            h.samples / h.rate
            for key, h in looked.headers.items()
            if key.startswith(f"{roles.mixture}/")
        ]
        rows[part.folder] = {
            "mixtures": len(names),
            "speakers": len({s for name in names for s in layout.speakers(name)}),
            "hours": sum(seconds) / 3600,
            "least_seconds": min(seconds),
            "mean_seconds": float(np.mean(seconds)),
            "most_seconds": max(seconds),
            "mixture_si_snr": _mean([v for m in looked.measured.values() for v in m.si_snr]),
            "mixture_sdr": _mean([v for m in looked.measured.values() for v in m.sdr]),
        }
    return rows


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def some(items: Sequence[str]) -> str:
    """The first few, and how many there are."""
    shown = "; ".join(items[:SHOWN])
    return f"{len(items)}, such as {shown}" if len(items) > SHOWN else shown
