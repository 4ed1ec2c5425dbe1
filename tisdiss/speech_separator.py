"""One line to a separator: `tisdiss.load("base").separate("talk.wav")`.

A model with its weights, wherever they are from, that takes recordings as files or arrays. What it
does is in `separate.py` (levels, rates, long recordings) and `dial.py` (depth).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tisdiss.checkpoint import load_model
from tisdiss.convert import released_model
from tisdiss.dial import Dial
from tisdiss.machine.device import check_device
from tisdiss.machine.folders import RUNS
from tisdiss.separate import separate_depths, separate_with
from tisdiss.shipped import recipe_of, weights_of
from tisdiss.wave import read_wave
from tisdiss.whole import AnyNet

Recording = str | Path | Any
"""A sound file, or samples: a tensor or array, (samples,) or with a few channels."""


class SpeechSeparator:
    """A model with its weights, ready for recordings of any rate, length and number of channels."""

    def __init__(self, model: AnyNet) -> None:
        self.model = model.eval()

    def __repr__(self) -> str:
        device = next(self.model.parameters()).device
        return f"SpeechSeparator({self.model.config.name}, {self.sample_rate} Hz, {device})"

    @property
    def sample_rate(self) -> int:
        """Hz at which the model works; recordings of other rates are resampled there and back."""
        return self.model.config.sample_rate

    @property
    def n_src(self) -> int:
        """Number of speakers that it separates."""
        return self.model.config.n_src

    def to(self, device: str) -> SpeechSeparator:
        """The same separator on another device, such as "cuda"; ValueError if there is none."""
        check_device(device)
        self.model.to(device)
        return self

    def separate(
        self,
        recording: Recording,
        sample_rate: int | None = None,
        *,
        n_re: int | None = None,
        n_sep: int | None = None,
        find_speakers: bool = False,
    ) -> Tensor:
        """Estimates (n_src, samples) at the rate of the recording and the level of each speaker.

        `sample_rate` in Hz belongs to samples; a file has its own. `n_re` and `n_sep` are the
        depth, the trained one if None. With `find_speakers`, a silent speaker is muted, a lone one
        is the recording, and one who is absent has no row (`--speakers auto`). Raises ValueError
        for a file that cannot be read and for samples that are empty, not finite or of another
        shape.
        """
        mixture, rate = _samples(recording, sample_rate)
        dial = Dial(n_re=n_re, n_sep=n_sep)
        return separate_with(self.model, mixture, rate, dial, find_speakers=find_speakers)[0]

    def anytime(
        self,
        recording: Recording,
        sample_rate: int | None = None,
        *,
        seconds: float | None = None,
        settled_db: float | None = None,
        budget: float | None = None,
        n_re: int | None = None,
        n_sep: int | None = None,
        find_speakers: bool = False,
    ) -> tuple[Tensor, int]:
        """Estimates of `separate` as deep as it pays, and the N_re that was reached.

        Stops before the passes take longer than `seconds`, or after the first pass that changes the
        estimates by `settled_db` dB less than their level, and at `n_re` (10 if None). `budget` is
        in seconds of computing per second of sound: the first minute determines the depth of all.
        """
        mixture, rate = _samples(recording, sample_rate)
        dial = Dial(n_re=n_re, n_sep=n_sep, seconds=seconds, settled_db=settled_db, budget=budget)
        if dial.fixed:
            raise ValueError("anytime: give seconds=..., settled_db=... or budget=...")
        return separate_with(self.model, mixture, rate, dial, find_speakers=find_speakers)

    def repetitions(
        self,
        recording: Recording,
        sample_rate: int | None = None,
        *,
        n_re: Sequence[int] | None = None,
        n_sep: int | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """(N_re, estimates of `separate`) at each ascending depth of `n_re`, out of one pass.

        None: the depths of the model from 1 to 10.
        """
        mixture, rate = _samples(recording, sample_rate)
        if n_re is None:
            ten, dial = range(1, 11), self.model.config.dial
            n_re = [depth for depth in ten if depth in dial] or ten
        return separate_depths(self.model, mixture, rate, n_re, n_sep)


def load(
    source: str | Path = "base",
    *,
    config: str | Path | None = None,
    device: str = "cpu",
    runs_dir: str | Path = RUNS,
) -> SpeechSeparator:
    """The separator of a model, in one line.

    `source` is "base" (the model that comes with the project), a model.safetensors, the first
    digits of a run in `runs_dir`, an address in MLflow (runs:/ID, models:/NAME@ALIAS,
    models:/NAME/VERSION, models:/m-ID), or a released checkpoint (.pth) with its `config`
    (config.yaml, beside it if None). Raises ValueError that says what there is, and ConnectionError
    if MLflow's store fails.
    """
    check_device(device)
    weights = weights_of(source, Path(runs_dir))
    if recipe := recipe_of(weights, config):
        return SpeechSeparator(released_model(weights, recipe).model).to(device)
    return SpeechSeparator(load_model(weights, device))


def _samples(recording: Recording, sample_rate: int | None) -> tuple[Any, int]:
    """A recording as samples and their rate in Hz."""
    if isinstance(recording, str | Path):
        if sample_rate is not None:
            raise ValueError(f"{recording} has its own rate: leave sample_rate={sample_rate} out")
        return read_wave(Path(recording))
    if sample_rate is None:
        raise ValueError("samples need their rate: separate(samples, sample_rate=16000)")
    return recording, sample_rate
