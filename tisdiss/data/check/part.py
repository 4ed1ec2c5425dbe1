"""`tisdiss data check` of one part of a stored corpus: its files, their sound, their sums."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tisdiss.data.build import libri2mix, wsj0_mix
from tisdiss.data.check.examine import Header, Measured, header, measure
from tisdiss.data.check.finding import Finding, some
from tisdiss.data.draw import rank
from tisdiss.data.layouts import WSJ0_2MIX, Layout, Part, Roles, stems
from tisdiss.machine.progress import Progress
from tisdiss.sound.decode import Refused

SUM_STEPS = 0.5
"""Rounding error of the mixture and of each of its summands, in 16-bit steps."""
GAIN_TOLERANCE_DB = 1.0
QUIET_FLOOR_DB = 20.0
HALVED_PITCH_HZ = 125.0
SECOND_MICROPHONE = "made of .wv2, the second microphone, where .wv1 belongs: 1-2 dB worse results"


@dataclass(frozen=True)
class Place:
    """The folder of a stored corpus, and its expected layout."""

    home: Path
    layout: Layout
    roles: Roles
    sample_rate: int
    n_src: int


@dataclass
class Looked:
    """The files and measurements of one part of a corpus."""

    part: Part
    names: list[str]
    headers: dict[str, Header] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)


def look(
    place: Place, part: Part, names: list[str], *, mixtures: int | None, on_progress: Progress
) -> Looked:
    """Read the header of every file of a part, and measure `mixtures` of them (None: all)."""
    looked, folder, roles = Looked(part, names), place.home / part.folder, place.roles
    chosen = sorted(names, key=rank)[: mixtures or len(names)]
    for i, name in enumerate(names):
        for role in roles.needed:
            path = folder / role / f"{name}.wav"
            try:
                if path.is_file():
                    looked.headers[f"{role}/{name}"] = header(path)
            except Refused as refusal:
                looked.refused.append(f"{part.folder}/{role}/{name}.wav: {refusal}")
        on_progress(i + 1, len(names) + len(chosen))
    for i, name in enumerate(chosen):
        if all(f"{role}/{name}" in looked.headers for role in roles.needed):
            try:
                looked.measured[name] = measure(folder, roles, name, gains=place.layout.gains)
            except Refused as refusal:
                looked.refused.append(f"{part.folder}/{refusal}")
        on_progress(len(names) + i + 1, len(names) + len(chosen))
    return looked


def check_part(place: Place, looked: Looked, lists: Path | None) -> Iterator[Finding]:
    """Findings about a part; with `lists`, names are compared with the official ones."""
    at, layout, roles = looked.part.folder, place.layout, place.roles
    yield _count(layout, looked, place.n_src)
    yield _halves(place.home, roles, looked)
    if lists is not None:
        yield _names(layout, looked, lists, place.n_src)
    yield _whole(looked)
    yield _rate(looked, place.sample_rate)
    yield _lengths(looked, roles)
    if not looked.measured:
        yield Finding("FAIL", f"{at} sound", "not one mixture could be measured")
        return
    yield _duration(looked, roles)
    yield _sums(looked, roles)
    yield _delays(looked, roles)
    yield _sound(looked)
    if layout.gains:
        yield _gains(looked)
        yield _floor(looked)


def _count(layout: Layout, looked: Looked, n_src: int) -> Finding:
    part, count = looked.part, len(looked.names)
    check = f"{part.folder} count"
    if n_src != 2:
        return Finding("PASS", check, f"{count} mixtures of {n_src}; no official number is known")
    text = f"{count} mixtures, officially {part.mixtures}"
    if count == part.mixtures:
        return Finding("PASS", check, text)
    fewer = "a part of the corpus, or an interrupted copy or build"
    cause = fewer if count < part.mixtures else "files of something else"
    return Finding("WARN" if count < part.mixtures else "FAIL", check, text, cause)


def _halves(home: Path, roles: Roles, looked: Looked) -> Finding:
    """Whether mixtures, sources and, if their folders exist, other summands have the same names."""
    check, single = f"{looked.part.folder} halves", []
    part = home / looked.part.folder
    extra = [
        role for role in roles.summands if role not in roles.sources and (part / role).is_dir()
    ]
    for role in (*roles.sources, *extra):
        files = set(stems(part / role))
        single += [f"{role}/{name}.wav is missing" for name in looked.names if name not in files]
        single += [f"{role}/{n}.wav has no mixture" for n in sorted(files - set(looked.names))]
    if not single:
        return Finding("PASS", check, f"{', '.join((*roles.needed, *extra))} agree")
    return Finding("FAIL", check, some(single), "an interrupted copy or build")


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
    cause = "an interrupted copy, or a damaged disk"
    return Finding("FAIL", check, some(sorted(looked.refused)), cause)


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
        lengths = {h.samples for r in roles.needed if (h := looked.headers.get(f"{r}/{name}"))}
        if len(lengths) > 1:
            bad.append(name)
    if not bad:
        return Finding("PASS", check, "mixtures and sources are equally long")
    return Finding("FAIL", check, f"mixture and sources differ: {some(bad)}", "mixed versions")


def _duration(looked: Looked, roles: Roles) -> Finding:
    """Check the lengths; with the pitch they reveal 16 kHz samples labelled as 8 kHz."""
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
    equation = f"{roles.mixture} = {' + '.join(roles.summands)}"
    if not errors:
        return Finding("WARN", check, f"{equation} was not checked", "a summand has no folder")
    worst = max(errors.values())
    allowed = SUM_STEPS * (2 + len(roles.summands))
    bad = [f"{n} ({e:.0f})" for n, e in errors.items() if e > allowed]
    if not bad:
        return Finding(
            "PASS", check, f"{equation} within {worst:.1f} steps of 16 bits in {len(errors)}"
        )
    cause = "files of different builds, sources and mixture scaled apart, or clipping"
    return Finding(
        "FAIL",
        check,
        f"{equation} is off by more than {allowed:g} steps of 16 bits: {some(bad)}",
        cause,
    )


def _delays(looked: Looked, roles: Roles) -> Finding:
    check = f"{looked.part.folder} delays"
    by_name = {n: m.delays for n, m in looked.measured.items()}
    every = [d for delays in by_name.values() for d in delays]
    apart = [f"{n} ({', '.join(map(str, delays))})" for n, delays in by_name.items() if any(delays)]
    text = f"{every.count(0)} of {len(every)} references without delay against {roles.mixture}"
    if every.count(0) > 0.8 * len(every):
        return Finding("PASS", check, text)
    cause = "sources of another room, or shifted: references must be aligned to the direct sound"
    return Finding("FAIL", check, f"{text}; samples: {some(apart)}", cause)


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
        return Finding("WARN", check, "the names have no gains", "renamed files")
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
