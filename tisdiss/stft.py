"""Waveform to spectrum and back (Sec. 2.1): periodic Hann window, centred, reflect-padded."""

import torch
from torch import Tensor, nn


class STFT(nn.Module):
    """Short-time Fourier transform with a window of `n_fft` samples, and its inverse.

    Spectra are (batch, frames, bins) complex with frames = samples // hop + 1.
    """

    window: Tensor

    def __init__(self, *, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop = hop
        window = torch.hann_window(n_fft, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)

    def forward(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Spectrum of (batch, samples); frames past a row's own length are zero.

        Raises ValueError if the signal is too short for reflect padding.
        """
        shortest = self.n_fft // 2 + 1
        if wave.shape[-1] < shortest:
            raise ValueError(
                f"mixture of {wave.shape[-1]} samples: an STFT of n_fft={self.n_fft} needs at "
                f"least {shortest}; pad it with silence"
            )
        spectrum = torch.stft(
            wave,
            self.n_fft,
            self.hop,
            window=self.window.to(wave.dtype),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        ).transpose(1, 2)
        if lengths is None:
            return spectrum
        frames = torch.arange(spectrum.shape[1], device=wave.device)
        valid = frames < (lengths.to(wave.device)[:, None] // self.hop + 1)
        return spectrum * valid[:, :, None]

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Waveform (..., samples) of spectra (..., frames, bins)."""
        flat = spectrum.flatten(0, -3).transpose(1, 2)
        wave = torch.istft(
            flat,
            self.n_fft,
            self.hop,
            window=self.window.to(flat.real.dtype),
            center=True,
            length=samples,
        )
        return wave.unflatten(0, spectrum.shape[:-2])
