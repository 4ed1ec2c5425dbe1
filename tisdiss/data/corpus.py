"""A corpus: one source and its training, validation and test mixtures, opened from a config."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name

from tisdiss.config import AnyModel, DataConfig
from tisdiss.data.condition import Acoustics
from tisdiss.data.dynamic import DynamicMixtures
from tisdiss.data.layouts import layout_of
from tisdiss.data.mixed_sets import DynamicStored, StoredMixtures
from tisdiss.data.mixture import MixtureSet, fixed_set
from tisdiss.data.noise import open_noise
from tisdiss.data.paper_corpora import open_stored
from tisdiss.data.rooms import open_rooms
from tisdiss.data.source import Source, canonical_hash
from tisdiss.machine.progress import Progress, silent
from tisdiss.plugins import PluginError, guarded
from tisdiss.speech_sources import SOURCES


@dataclass(frozen=True)
class Corpus:
    """The mixtures that a model is trained, selected and tested on."""

    source: Source
    train: MixtureSet | DynamicMixtures | StoredMixtures | DynamicStored
    val: MixtureSet | StoredMixtures
    test: MixtureSet | StoredMixtures
    config: DataConfig

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the sound, the three sets and the settings that made them."""
        return canonical_hash(
            {
                "config": _settings(self.config),
                "source": self.source.manifest_hash,
                "sets": [s.manifest_hash for s in (self.train, self.val, self.test)],
            }
        )

    def check_rate(self, model: AnyModel) -> None:
        """Raise ValueError for a model of another sample rate."""
        if model.sample_rate != self.source.sample_rate:
            raise ValueError(
                f"{self.source.name} is at {self.source.sample_rate} Hz, {model.name} works at "
                f"{model.sample_rate} Hz; open the corpus at that rate (data.sample_rate)"
            )


def _settings(config: DataConfig) -> dict:
    """Settings as plain data, without later settings that have the value of all earlier corpora."""
    fields = type(config).model_fields
    since = {
        name: extra["since"]
        for name, field in fields.items()
        if isinstance(extra := field.json_schema_extra, dict) and "since" in extra
    }
    plain = config.model_dump(mode="json")
    return {k: v for k, v in plain.items() if k not in since or since[k] != v}


def open_corpus(
    config: DataConfig, n_src: int, *, speech: Path | None, cache: Path, noise: Path | None = None
) -> Corpus:
    """The corpus of a config.

    `speech` is a folder of speakers or a stored corpus; None takes the source's own environment
    variable, such as WSJ0_2MIX, else SPEECH. `noise` is a folder of recordings; None takes the
    environment variable NOISE.
    """
    if SOURCES[config.source].stored:
        return _open_stored(config, n_src, root_of(config, speech), cache)
    source = open_source(config, speech=speech, cache=cache)
    if config.condition not in (None, "clean"):
        source = replace(source, note="; ".join(filter(None, (source.note, _note(config)))))
    noise = noise or (Path(os.environ["NOISE"]) if os.environ.get("NOISE") else None)

    def acoustics(split: str) -> Acoustics | None:
        return _acoustics(config, source, split, n_src, noise, cache)

    def fixed(split: str, n_mixtures: int, max_seconds: float | None) -> MixtureSet:
        return fixed_set(
            source,
            split,
            n_mixtures=n_mixtures,
            n_src=n_src,
            gain_db=config.gain_db,
            min_seconds=config.min_seconds,
            max_seconds=max_seconds,
            seed=config.seed,
            acoustics=acoustics(split),
        )

    train = (
        _dynamic(source, config, n_src, acoustics("train"))
        if config.dynamic
        else fixed("train", config.train_mixtures, None)
    )
    val = fixed("val", config.val_mixtures, config.max_seconds)
    test = fixed("test", config.test_mixtures, config.max_seconds)
    return Corpus(source, train, val, test, config)


def _dynamic(
    source: Source, config: DataConfig, n_src: int, acoustics: Acoustics | None
) -> DynamicMixtures:
    return DynamicMixtures(
        source,
        "train",
        n_src=n_src,
        length=config.train_mixtures,
        gain_db=config.gain_db if config.train_gain_db is None else config.train_gain_db,
        seconds=config.segment_seconds,
        seed=config.seed,
        acoustics=acoustics,
        speed=config.speed,
        turns=config.turns,
        pairs=config.pairs,
    )


def _open_stored(config: DataConfig, n_src: int, root: Path, cache: Path) -> Corpus:
    source, sets = open_stored(config, n_src, root=root, cache=cache)
    train: StoredMixtures | DynamicStored = sets["train"]
    if config.dynamic:
        train = DynamicStored(
            sets["train"],
            length=config.train_mixtures,
            gain_db=config.gain_db,
            seconds=config.segment_seconds,
        )
    return Corpus(source, train, sets["val"], sets["test"], config)


def _acoustics(
    config: DataConfig, source: Source, split: str, n_src: int, noise: Path | None, cache: Path
) -> Acoustics | None:
    """Rooms and noise of a split for the condition; None if it is clean."""
    condition = config.condition or "clean"
    if condition == "clean":
        return None
    rooms = background = None
    if condition.endswith("reverberant"):
        rooms = open_rooms(
            split,
            config.rooms if split == "train" else -(-config.rooms // 4),
            n_src=n_src,
            t60_seconds=config.t60_seconds,
            sample_rate=config.sample_rate,
            seed=config.seed,
            cache=cache,
        )
    if condition.startswith("noisy"):
        background = open_noise(config.noise, source, split, n_src=n_src, folder=noise, cache=cache)
    return Acoustics(config.sample_rate, rooms, background, config.snr_db)


def _note(config: DataConfig) -> str:
    """The condition in words, for figures."""
    words = []
    if config.condition != "noisy":
        words.append("simulated rooms, T60 {:g}-{:g} s".format(*config.t60_seconds))
    if config.condition != "reverberant":
        words.append("{} noise, SNR {:g} to {:g} dB".format(config.noise, *config.snr_db))
    return ", ".join(words)


def open_source(
    config: DataConfig, *, speech: Path | None, cache: Path, on_progress: Progress = silent
) -> Source:
    """The recordings that a config names; they are decoded into the cache once."""
    entry = SOURCES[config.source]
    folder = (root_of(config, speech),) if entry.variable else ()
    who = SOURCES.of(config.source)
    with guarded(who, SOURCES.package(config.source)):
        source: object = resolve_name(entry.reader)(
            *folder, sample_rate=config.sample_rate, cache=cache, on_progress=on_progress
        )
    if not isinstance(source, Source):
        raise PluginError(f"{who}: its reader returned a {type(source).__name__}, no Source")
    return source


def root_of(config: DataConfig, speech: Path | None) -> Path:
    """The folder of the corpus: `speech`, else its own environment variable, else SPEECH.

    Raises ValueError if none of these is set.
    """
    entry = SOURCES[config.source]
    root = speech or os.environ.get(entry.variable) or os.environ.get("SPEECH")
    if root:
        return Path(root)
    if entry.stored:
        advice = layout_of(config.source).expected(config.sample_rate)
    else:
        advice = resolve_name(entry.advice)
    raise ValueError(f"no corpus was given: set {entry.variable}=/path/to/it.\n{advice}")
