"""Layouts of the paper's corpora on disk: folders, official counts, names of mixtures.

A layout has only facts about a corpus as its authors' scripts write it. `paper_corpora.py` reads
stored mixtures in these layouts, `check/doctor.py` checks folders against them, and
`build/prepare.py` writes them. `tisdiss/speech_sources.py` maps sources to layouts.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name

from tisdiss.speech_sources import SOURCES


@dataclass(frozen=True)
class Part:
    """One folder of a corpus: its split, the official number of two-speaker mixtures, and lengths.

    `mean_seconds` is the range of the mean length of its mixtures in `min` mode.
    """

    folder: str
    split: str
    mixtures: int
    mean_seconds: tuple[float, float]


@dataclass(frozen=True)
class Roles:
    """Sub-folders of a part: mixture, reference sources, and the summed sources with the noise."""

    mixture: str
    sources: tuple[str, ...]
    heard: tuple[str, ...]
    noise: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.mixture, *self.sources)

    @property
    def summands(self) -> tuple[str, ...]:
        return (*self.heard, self.noise) if self.noise else self.heard


@dataclass(frozen=True)
class Level:
    """SI-SNR and SDR of the unprocessed test mixtures, in dB; None if unknown."""

    si_snr: float
    sdr: float | None = None
    sure: bool = True
    """False: quoted with other rounding, so a difference is a warning instead of a failure."""


@dataclass(frozen=True)
class Layout:
    """One corpus."""

    title: str
    folders: tuple[str, ...]
    """Folders of the parts below the root; {k} is the rate in kHz, {n} is n_src."""
    parts: tuple[Part, ...]
    mixtures: dict[str, str]
    """Mixture folder by condition; the first condition is the default."""
    source: str
    heard: dict[str, str] = field(default_factory=dict)
    """Folder of the summed sources by condition, if it is not `source`."""
    voice: str = ""
    """Pattern of an utterance in a mixture's name; its group is the speaker."""
    gains: bool = False
    """Whether names have each utterance's gain in dB."""
    levels: dict[str, Level] = field(default_factory=dict)
    """Levels of the test mixtures by condition."""
    closed: bool = False
    """Whether the validation speakers are also training speakers, by design."""
    example: str = ""
    """The expected folder, in words, for error messages; {k} is the rate in kHz."""
    scripts: str = ""
    """The origin of the official lists, if we can build the mixtures."""

    def condition(self, name: str | None) -> str:
        """`name`, or the default condition for None; ValueError if there are no such mixtures."""
        default = next(iter(self.mixtures))
        if name is not None and name not in self.mixtures:
            raise ValueError(
                f"condition={name!r}: {self.title} has {', '.join(self.mixtures)} mixtures; choose"
                f" one of them, or leave it out for {default}"
            )
        return name or default

    def roles(self, condition: str, n_src: int) -> Roles:
        sources = tuple(self.source.format(i + 1) for i in range(n_src))
        heard = tuple(self.heard.get(condition, self.source).format(i + 1) for i in range(n_src))
        noise = "noise" if condition.startswith("noisy") else ""
        return Roles(self.mixtures[condition], sources, heard, noise)

    def speakers(self, stem: str) -> tuple[str, ...]:
        """The speakers in a mixture's name, in the order of the sources."""
        return tuple(m[1] for m in re.finditer(self.voice, stem))

    def find(self, root: Path, *, sample_rate: int, n_src: int, condition: str) -> Path:
        """The folder of the parts, at `root` or in one of the usual places below it."""
        root, rate = Path(root), sample_rate // 1000
        if not root.is_dir():
            raise ValueError(f"{root}: no such folder")
        mixture = self.mixtures[condition]
        for candidate in self._places(root, rate, n_src):
            if any((candidate / part.folder / mixture).is_dir() for part in self.parts):
                return candidate
        raise ValueError(
            f"{root}: no {self.title} found{self._near(root, rate, n_src)}.\n"
            + self.expected(sample_rate)
        )

    def expected(self, sample_rate: int) -> str:
        """The expected folder at a rate, in words."""
        return self.example.replace("{k}", str(sample_rate // 1000))

    def _places(self, root: Path, rate: int, n_src: int, mode: str = "min") -> list[Path]:
        names = [f.format(k=rate, n=n_src).replace("/min", f"/{mode}") for f in self.folders]
        return [root, *(root / name for name in names)]

    def _near(self, root: Path, rate: int, n_src: int) -> str:
        """A hint if the folder has another usual version of the corpus; else empty."""
        other_rate = 16 if rate == 8 else 8
        for other, mode in ((other_rate, "min"), (rate, "max"), (other_rate, "max")):
            for place in self._places(root, other, n_src, mode)[1:]:
                if place.is_dir():
                    return (
                        f" in its wav{rate}k/min version; {place.relative_to(root)} is another"
                        f" version. Make the {rate} kHz 'min' version: `tisdiss data prepare`"
                    )
        return ""


WSJ0_PARTS = (
    Part("tr", "train", 20000, (4.0, 7.5)),
    Part("cv", "val", 5000, (4.0, 7.5)),
    Part("tt", "test", 3000, (4.0, 7.5)),
)
WSJ0_VOICE = r"(?:^|_)([0-9a-z]{3})[0-9a-z]{5}(?=_)"

WSJ0_2MIX = Layout(
    title="WSJ0-2mix",
    folders=("wav{k}k/min", "{n}speakers/wav{k}k/min", "wsj0-mix/{n}speakers/wav{k}k/min"),
    parts=WSJ0_PARTS,
    mixtures={"clean": "mix"},
    source="s{}",
    voice=WSJ0_VOICE,
    gains=True,
    levels={"clean": Level(0.0, 0.15)},
    closed=True,
    example="""\
Give the folder of WSJ0-2mix that holds wav{k}k, as its scripts write it:
    wav{k}k/min/{tr,cv,tt}/{mix,s1,s2}/445c0206_0.60431_22gc0105_-0.60431.wav""",
    scripts="the scripts of WSJ0-mix (create-speaker-mixtures), the activlev_*.txt too",
)

LIBRI2MIX = Layout(
    title="Libri2Mix",
    folders=("wav{k}k/min", "Libri{n}Mix/wav{k}k/min"),
    parts=(
        Part("train-360", "train", 50800, (8.0, 16.0)),
        Part("train-100", "train", 13900, (8.0, 16.0)),
        Part("dev", "val", 3000, (3.5, 9.0)),
        Part("test", "test", 3000, (3.5, 9.0)),
    ),
    mixtures={"clean": "mix_clean", "noisy": "mix_both"},
    source="s{}",
    voice=r"(?:^|_)(\d+)-\d+-\d+",
    levels={"clean": Level(0.0), "noisy": Level(-2.0, sure=False)},
    example="""\
Give the folder that holds Libri2Mix, as LibriMix writes it:
    Libri2Mix/wav{k}k/min/{train-360,train-100,dev,test}/{mix_clean,s1,s2}/\
4077-13754-0001_5142-33396-0065.wav""",
    scripts="LibriMix, in its folder metadata",
)

WHAMR = Layout(
    title="WHAMR!",
    folders=("wav{k}k/min", "whamr/wav{k}k/min"),
    parts=WSJ0_PARTS,
    mixtures={
        "noisy-reverberant": "mix_both_reverb",
        "noisy": "mix_both_anechoic",
        "reverberant": "mix_clean_reverb",
        "clean": "mix_clean_anechoic",
    },
    source="s{}_anechoic",
    heard={"noisy-reverberant": "s{}_reverb", "reverberant": "s{}_reverb"},
    voice=WSJ0_VOICE,
    levels={"noisy-reverberant": Level(-6.1, -3.5, sure=False)},
    closed=True,
    example="""\
Give the folder of WHAMR! that holds wav{k}k, as its scripts write it:
    wav{k}k/min/{tr,cv,tt}/{mix_both_reverb,s1_anechoic,s2_anechoic}/\
445c0206_0.60431_22gc0105_-0.60431.wav
Checks of sums and dynamic mixing also use s1_reverb, s2_reverb and noise.""",
)


def layout_of(source: str) -> Layout:
    """The layout of a source of stored mixtures; ValueError names the existing sources."""
    stored = [name for name, entry in SOURCES.items() if entry.stored]
    if source not in stored:
        raise ValueError(f"no stored corpus {source!r}; there are: {', '.join(stored)}")
    layout: Layout = resolve_name(SOURCES[source].layout)
    return layout


def stems(folder: Path) -> list[str]:
    """Names, without suffix, of the mixtures in a folder; hidden files are left out."""
    if not folder.is_dir():
        return []
    return sorted(p.stem for p in folder.iterdir() if p.suffix == ".wav" and p.name[0] != ".")
