"""`tisdiss data check`: is this the corpus that the paper used?

Findings have a level and a likely cause. PASS: as it should be. WARN: fewer files than the official
corpus, or something that could not be decided; results on it may not be comparable. FAIL: not the
corpus, or broken. `part.py` checks each part and `examine.py` measures; `speech.py` checks the
speech that mixtures are made of.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tisdiss.data.check.finding import Finding, Level, mean, some
from tisdiss.data.check.part import Looked, Place, check_part, look
from tisdiss.data.layouts import Layout, Part, layout_of, stems
from tisdiss.machine.progress import Progress, silent

LEVEL_TOLERANCE_DB = 0.3
NOT_AT_ALL_DB = {True: 1.0, False: 4.0}
"""A larger error fails, because too few mixtures cannot explain it; by `Level.sure`."""


def check(
    corpus: str,
    root: Path,
    *,
    condition: str | None = None,
    lists: Path | None = None,
    sample_rate: int = 8000,
    n_src: int = 2,
    mixtures: int | None = 100,
    on_progress: Progress = silent,
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
    place = Place(home, layout, layout.roles(condition, n_src), sample_rate, n_src)
    findings = [Finding("PASS", "layout", f"{layout.title}, {condition}, at {home}")]
    looked = []
    for part in layout.parts:
        names = stems(home / part.folder / place.roles.mixture)
        if names:
            looked.append(look(place, part, names, mixtures=mixtures, on_progress=on_progress))
        else:
            findings.append(_absent(layout, part))
    for one in looked:
        findings += check_part(place, one, lists)
    findings += _check_speakers(layout, looked)
    findings += _check_duplicates(looked)
    findings += _check_level(layout, condition, looked, n_src)
    return findings


def _absent(layout: Layout, part: Part) -> Finding:
    check = f"{part.folder} count"
    if part.split == "train" and sum(p.split == "train" for p in layout.parts) > 1:
        return Finding("WARN", check, "is absent; one part for training is enough")
    level: Level = "FAIL" if part.split == "test" else "WARN"
    return Finding(level, check, f"0 mixtures of {part.mixtures}", "not made yet")


def _check_speakers(layout: Layout, looked: Sequence[Looked]) -> Iterator[Finding]:
    speakers: dict[str, set[str]] = {}
    for one in looked:
        voices = {s for name in one.names for s in layout.speakers(name)}
        speakers.setdefault(one.part.split, set()).update(voices)
    for first, second in (("train", "test"), ("val", "test"), ("train", "val")):
        if first not in speakers or second not in speakers:
            continue
        a, b, check = speakers[first], speakers[second], f"speakers of {first} and {second}"
        shared = a & b
        text = f"{len(a)} and {len(b)} speakers, {len(shared)} in both"
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
    """Compare the unprocessed test mixtures with the known level."""
    known = layout.levels.get(condition) if n_src == 2 else None
    for one in looked:
        if one.part.split != "test" or not one.measured:
            continue
        si_snr = mean([v for m in one.measured.values() for v in m.si_snr])
        sdr = mean([v for m in one.measured.values() for v in m.sdr])
        text = f"SI-SNR {si_snr:.2f} dB, SDR {sdr:.2f} dB in {len(one.measured)} mixtures"
        if known is None:
            yield Finding("PASS", "mixture level", f"{text}; no official level is known")
            continue
        text += f"; known: {known.si_snr:.2f} dB"
        errors = [abs(si_snr - known.si_snr)]
        if known.sdr is not None:
            text += f", {known.sdr:.2f} dB"
            errors.append(abs(sdr - known.sdr))
        if max(errors) <= LEVEL_TOLERANCE_DB:
            yield Finding("PASS", "mixture level", text)
        elif max(errors) <= NOT_AT_ALL_DB[known.sure]:
            cause = "few mixtures, or another build of the corpus"
            yield Finding("WARN", "mixture level", text, cause)
        else:
            cause = "sources do not belong to the mixtures, or were scaled or shifted"
            yield Finding("FAIL", "mixture level", text, cause)
