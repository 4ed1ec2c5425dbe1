"""Settings of the mixtures that a model is trained and tested on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tisdiss.config.choice import OneOf
from tisdiss.config.numbers import (
    T60,
    Condition,
    Config,
    Count,
    Decibels,
    Length,
    Rate,
    Seed,
    later,
)
from tisdiss.limits import MAX_ROOMS, MAX_SAMPLES
from tisdiss.speech_sources import SOURCES

NoiseKind = Literal["mixed", "speech-shaped", "babble", "folder"]
"""The noise to add: "mixed" is speech-shaped noise or babble, "folder" is recordings."""


OF_DYNAMIC_MIXING = {
    "speed": "changes the speed",
    "pairs": "chooses its pairs",
    "turns": "silences speakers",
    "train_gain_db": "has gains of its own",
}
"""Settings that need it, and their effect."""


class DataConfig(Config):
    """The mixtures that a model is trained and tested on."""

    source: Annotated[str, OneOf(lambda: SOURCES)] = "folder"
    """The origin of the speech. Stored corpora have their own gains, lengths and noise; the numbers
    of mixtures are then upper limits."""
    sample_rate: Rate = 8000
    gain_db: Annotated[Decibels, Field(ge=0)] = 2.5
    """Each pair is mixed at gains (g, -g) dB with g uniform in ±gain_db, as in WSJ0-mix."""
    segment_seconds: Length = 4.0
    """Length of a training crop."""
    min_seconds: Length = 1.0
    """Validation and test mixtures use no shorter utterances."""
    max_seconds: Length | None = None
    """Validation and test mixtures are cut to this length."""
    dynamic: bool = False
    """Draw new pairs, gains and offsets for every training example (dynamic mixing)."""
    train_mixtures: Count = 20000
    val_mixtures: Count = 5000
    test_mixtures: Count = 3000
    seed: Seed = 0
    """Seed of the mixtures, independent of the seed of training."""
    condition: Condition | None = later(None)
    """Noise and reverberation of the mixtures; the references stay clean and anechoic. None: the
    corpus's own default (noisy and reverberant for WHAMR!, clean for all others)."""
    noise: NoiseKind = later("mixed")
    """For "folder", the environment variable NOISE has the folder of recordings."""
    snr_db: tuple[Decibels, Decibels] = later((-6.0, 3.0))
    """Range of the loudest clean source's active level above the noise, as in WHAM!."""
    t60_seconds: tuple[T60, T60] = later((0.1, 1.0))
    """Range of the reverberation time of the simulated rooms, as in WHAMR!."""
    rooms: Annotated[int, Field(ge=1, le=MAX_ROOMS)] = later(200)
    """Number of rooms for training mixtures; validation and test have a quarter as many each."""
    train_set: Literal["train-360", "train-100"] = later("train-360")
    """Training part of Libri2Mix."""
    speed: Annotated[float, Field(ge=0, le=0.3, json_schema_extra={"since": 0.0})] = 0.0
    """Each source of a dynamic mixture is played faster or slower by up to this share, which also
    shifts its pitch and so adds voices. Not part of the paper's recipe."""
    pairs: Literal["any", "different-sexes"] = later("any")
    """"different-sexes": each dynamic mixture has a woman and a man, which is easier to separate;
    speakers of unknown sex are not used. Validation and test mixtures still have any speakers. Not
    part of the paper's recipe."""

    turns: Annotated[float, Field(ge=0, le=1)] = later(0.0)
    """Share of dynamic mixtures in which one speaker is silent for 20 to 70 % of the crop, as in a
    conversation. In validation and test both speak throughout. Not part of the paper's recipe."""
    train_gain_db: Annotated[Decibels, Field(ge=0)] | None = later(None)
    """Gains of dynamic mixtures, where those of validation and test have `gain_db`; None: the same.
    Not part of the paper's recipe."""

    @model_validator(mode="after")
    def _drawn_anew(self) -> "DataConfig":
        """Refuse settings that need dynamic mixing of single recordings."""
        if self.dynamic and not SOURCES[self.source].stored:
            return self
        for name, effect in OF_DYNAMIC_MIXING.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name}={value}: only dynamic mixing of single recordings {effect}; set "
                    f"dynamic: true, or leave {name} out"
                )
        return self

    @model_validator(mode="after")
    def _ranges_rise(self) -> "DataConfig":
        for name in ("snr_db", "t60_seconds"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}=({low:g}, {high:g}): give (lowest, highest)")
        return self

    @model_validator(mode="after")
    def _rooms_fit(self) -> "DataConfig":
        samples = self.rooms * self.t60_seconds[1] * self.sample_rate
        if samples > MAX_SAMPLES:
            raise ValueError(
                f"rooms={self.rooms}: their responses would have {samples:.1e} samples, at most "
                f"{MAX_SAMPLES:.1e} fit; set fewer rooms or a smaller t60_seconds"
            )
        return self
