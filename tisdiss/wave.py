"""Reads, converts and writes sound. Samples are float32 in [-1, 1]."""

import io
import os
from collections.abc import Iterator
from math import gcd, inf
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from tisdiss.records.files import write_atomic
from tisdiss.sound.outputs import shown
from tisdiss.sound.recording import recording

ARRAY_CHANNELS = 32
"""An axis of an array with more entries is taken for samples."""
WAV_BYTES = 2**32 - 2**16
"""A WAV file holds fewer bytes of samples; its size field has 32 bits."""
ZERO_CROSSINGS, ROLLOFF = 64, 0.99
"""Half width of the sinc that resamples, and its cut-off as a share of the lower rate's half."""
MAX_KERNEL = 2**22
"""Numbers in the kernels of a resampling, at most."""
PEAK = 0.9
"""Peak of the file of a signal that exceeds full scale, as in the released code."""


class TooLongError(ValueError):
    """A recording is longer than was asked for."""


def read_wave(path: Path, longest: float = inf) -> tuple[Tensor, int]:
    """The mean of a file's channels (samples,) and its rate in Hz.

    Raises ValueError for a file that is missing, unreadable, cut short, empty or not finite, and
    TooLongError once it has more seconds than `longest`; the rest is then not decoded.
    """
    wave, samples = [], 0
    with recording(path) as file:
        for block in file.blocks:
            samples += len(block)
            if samples > longest * file.rate:
                raise TooLongError(f"{path} is longer than {longest:g} s")
            wave.append(torch.from_numpy(block.mean(axis=1)))
        return torch.cat(wave), file.rate


def measure(path: Path, channel: int | None = None) -> tuple[int, int]:
    """Number of samples and rate in Hz of a file, read to its end; errors as in `mono_blocks`."""
    with recording(path) as file:
        _check_channel(channel, file.channels, path)
        return sum(len(block) for block in file.blocks), file.rate


def mono_blocks(path: Path, channel: int | None = None) -> Iterator[Tensor]:
    """The mean of a file's channels, or one channel (1, 2, ...), in blocks (samples,).

    Raises ValueError as `read_wave`, and for a channel that the file does not have.
    """
    with recording(path) as file:
        _check_channel(channel, file.channels, path)
        for block in file.blocks:
            mono = block.mean(axis=1) if channel is None else block[:, channel - 1].copy()
            yield torch.from_numpy(mono)


def _check_channel(channel: int | None, channels: int, path: Path) -> None:
    if channel is not None and not 1 <= channel <= channels:
        raise ValueError(f"{shown(path)}: no channel {channel}; there are channels 1 to {channels}")


def as_mono(mixture: Any, rate: int) -> Tensor:
    """A mixture as float32 (samples,) on the CPU.

    `mixture` is a tensor or an array of real numbers, (samples,) or with up to 32 channels as first
    or last axis, which are averaged. Full scale of integers is the range of their type, as in sound
    files. Raises ValueError for an ambiguous shape or type, no samples, NaN or infinity.
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
    """(samples,), of a mono wave or of at most 32 channels as first or last axis."""
    if wave.dim() == 1:
        return wave
    if wave.dim() == 2:
        channels, samples = sorted(wave.shape)
        if channels == 1 or (1 < channels <= ARRAY_CHANNELS and samples >= 8 * channels):
            return wave.mean(dim=int(wave.shape[0] > wave.shape[1]))
    raise ValueError(
        f"mixture of shape {tuple(wave.shape)}: give one mixture, (samples,), or its channels, "
        "(channels, samples)"
    )


def resample(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """(..., samples) at `new_rate` instead of `rate` (Hz), on the wave's device.

    A windowed sinc of 64 zero crossings keeps what is below 95 % of the lower rate's half to 70 dB.
    For rates without a large common divisor, such as 44101 and 8000, its kernels would fill the
    memory; then the band is cut in the spectrum of the whole signal.
    """
    if rate == new_rate:
        return wave
    from torchaudio.functional import resample as windowed_sinc

    common = gcd(rate, new_rate)
    old, new = rate // common, new_rate // common
    if new * old > MAX_KERNEL:
        return _by_spectrum(wave, old, new)
    return windowed_sinc(wave, old, new, lowpass_filter_width=ZERO_CROSSINGS, rolloff=ROLLOFF)


def _by_spectrum(wave: Tensor, old: int, new: int) -> Tensor:
    """(..., samples * new / old, rounded up): the spectrum is cut, with a half cosine at its end.

    The signal is followed by at least one period of silence, because spectra are circular.
    """
    samples = wave.shape[-1]
    periods = -(-samples // old) + 1
    spectrum = torch.fft.rfft(wave, n=periods * old)
    kept = periods * min(old, new) // 2 + 1
    fade = torch.arange(kept, 0, -1, device=wave.device) / (2 * (1 - ROLLOFF) * kept)
    window = (1 - torch.cos(torch.pi * fade.clamp(max=1))) / 2
    cut = torch.fft.irfft(spectrum[..., :kept] * window, n=periods * new) * (new / old)
    return cut[..., : -(-samples * new // old)]


def write_wav(path: Path, wave: Tensor, rate: int) -> None:
    """Write (samples,) as 16-bit WAV; a signal that exceeds full scale is scaled down to `PEAK`."""
    peak = float(wave.abs().max()) if wave.numel() else 0.0
    scaled = wave * (PEAK / peak) if peak > 1 else wave
    buffer = io.BytesIO()
    with wav_file(buffer, rate) as file:
        file.write(scaled.numpy())
    write_atomic(Path(path), buffer.getvalue())


def wav_file(target: Path | io.BytesIO, rate: int, *, channels: int = 1, samples: int = 0) -> Any:
    """A 16-bit WAV file, open for writing; RF64 if its `samples` exceed the 4 GiB of a WAV."""
    kind = "WAV" if 2 * channels * samples < WAV_BYTES else "RF64"
    place = os.fsencode(target) if isinstance(target, Path) else target
    return soundfile.SoundFile(place, "w", rate, channels, subtype="PCM_16", format=kind)
