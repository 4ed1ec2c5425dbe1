"""Sound files in and out. Samples are float32 in [-1, 1]."""

import io
from collections.abc import Iterator
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from tisdiss.records.files import write_atomic
from tisdiss.sound.decode import blocks, named

MAX_CHANNELS = 32
PEAK = 0.9
"""Files are written at this peak where the signal would not fit, as in the released code."""


def read_wave(path: Path) -> tuple[Tensor, int]:
    """The mean of a file's channels (samples,) and its rate in Hz.

    Raises ValueError for a file that is missing, unreadable, cut short, empty or not finite.
    """
    rate = measure(path)[1]
    return torch.cat(list(mono_blocks(path))), rate


def measure(path: Path) -> tuple[int, int]:
    """Samples and rate in Hz of a file that was read to its end; ValueError as of `read_wave`."""
    with named(path) as file:
        return sum(len(block) for block in blocks(file, "float32")), file.samplerate


def mono_blocks(path: Path) -> Iterator[Tensor]:
    """The mean of a file's channels, (samples,) at a time; ValueError as of `read_wave`."""
    with named(path) as file:
        for block in blocks(file, "float32"):
            yield torch.from_numpy(block.mean(axis=1))


def as_mono(mixture: Any, rate: int) -> Tensor:
    """A mixture from anywhere as float32 (samples,) on the CPU.

    Tensors and arrays of any number type, (samples,) or with a few channels on either side, whose
    mean is taken. Integers are read as sound files do: full scale is the end of their range.
    ValueError where the meaning is not certain, for no samples and for NaN or infinity.
    """
    wave = torch.as_tensor(mixture).detach().cpu()
    if rate < 1:
        raise ValueError(f"rate={rate}: give the mixture's sample rate in Hz")
    if wave.is_complex() or wave.dtype == torch.bool:
        raise ValueError(f"mixture of type {wave.dtype}: give samples as floats or integers")
    if not wave.dtype.is_floating_point:
        wave = _from_integers(wave)
    wave = _mean_of_channels(wave.float())
    if not len(wave):
        raise ValueError("the mixture is empty: give at least one sample")
    if not wave.isfinite().all():
        raise ValueError("the mixture has samples that are NaN or infinite")
    return wave


def _from_integers(wave: Tensor) -> Tensor:
    info = torch.iinfo(wave.dtype)
    full = (info.max - info.min + 1) // 2
    middle = info.max + 1 - full  # 0, but for 8-bit sound, which is unsigned
    return (wave.double() - middle) / full


def _mean_of_channels(wave: Tensor) -> Tensor:
    """(samples,) of itself, or of at most 32 channels, before or after the samples."""
    if wave.dim() == 1:
        return wave
    if wave.dim() == 2:
        channels, samples = sorted(wave.shape)
        if channels == 1 or (1 < channels <= MAX_CHANNELS and samples >= 8 * channels):
            return wave.mean(dim=int(wave.shape[0] > wave.shape[1]))
    raise ValueError(
        f"mixture of shape {tuple(wave.shape)}: give one mixture, (samples,), or its channels, "
        "(channels, samples)"
    )


def resample(wave: Tensor, rate: int, wanted: int) -> Tensor:
    """(..., samples) at another rate, by polyphase filtering."""
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    turned = resample_poly(wave.numpy(), wanted // common, rate // common, axis=-1)
    return torch.from_numpy(np.ascontiguousarray(turned, dtype=np.float32))


def write_wav(path: Path, wave: Tensor, rate: int) -> None:
    """Write (samples,) as 16-bit WAV; what exceeds full scale is scaled down as a whole."""
    peak = float(wave.abs().max()) if wave.numel() else 0.0
    scaled = wave * (PEAK / peak) if peak > 1 else wave
    buffer = io.BytesIO()
    with wav_file(buffer, rate) as file:
        file.write(scaled.numpy())
    write_atomic(Path(path), buffer.getvalue())


def wav_file(target: Path | io.BytesIO, rate: int) -> Any:
    """A mono 16-bit WAV file, open for writing."""
    return soundfile.SoundFile(target, "w", rate, 1, subtype="PCM_16", format="WAV")
