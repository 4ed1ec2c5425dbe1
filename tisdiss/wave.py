"""Sound files in and out. Samples are float32 in [-1, 1]."""

import io
from math import gcd
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tisdiss.files import write_atomic

PEAK = 0.9
"""Files are written at this peak where the signal would not fit, as in the released code."""


def read_wave(path: Path) -> tuple[Tensor, int]:
    """The mean of a file's channels (samples,) and its rate in Hz.

    Raises ValueError for a file that is missing, unreadable, cut short, empty or not finite.
    """
    from tisdiss.sound import Refused, Undecodable, read_sound

    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: a folder; name the sound files in it")
    if not path.is_file():
        raise ValueError(f"{path}: no such sound file")
    try:
        samples, rate = read_sound(path, "float32")
    except Undecodable as refusal:
        raise ValueError(f"{path}: {refusal}; WAV, FLAC, OGG and MP3 can") from refusal
    except Refused as refusal:
        raise ValueError(f"{path}: {refusal}") from refusal
    return torch.from_numpy(samples.mean(axis=1)), rate


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
    import soundfile

    peak = float(wave.abs().max()) if wave.numel() else 0.0
    scaled = wave * (PEAK / peak) if peak > 1 else wave
    buffer = io.BytesIO()
    soundfile.write(buffer, scaled.numpy(), rate, format="WAV", subtype="PCM_16")
    write_atomic(Path(path), buffer.getvalue())
