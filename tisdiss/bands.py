"""Band-split encoders and decoders (paper Fig. 2h): the network sees bands instead of STFT bins.

A layout names the bins of each band (`band_layouts.py`). Every encoder turns a complex
spectrum (batch, frames, bins) into features (batch, frames, bands, channels); every decoder turns
features (batch, n_src, frames, bands, channels) into complex spectra (batch, n_src, frames, bins).

Bands differ in width, so a weight is kept as *rows*: two rows (real, imaginary) per bin of a band,
bands in order. `BandMap` pads rows and spectra to the widest band, so that one batched product
serves all bands. The decoder sums the outputs of all bands of a bin, as in the released code.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tisdiss.band_layouts import Bands
from tisdiss.kernels.taps import overlapped


class BandMap(nn.Module):
    """Moves spectra, weights and outputs between bins, rows and padded bands.

    `rows` is the number of real values of all bands, 2 x the sum of the widths; `padded` is 2 x the
    largest width. Padding reads from one spare entry, which is zero.
    """

    bins: Tensor
    row_index: Tensor
    slots: Tensor
    widths: Tensor

    def __init__(self, bands: Bands) -> None:
        super().__init__()
        widths = [len(band) for band in bands]
        widest, n_bins = max(widths), 1 + max(max(band) for band in bands)
        self.n_bands, self.rows, self.padded = len(bands), 2 * sum(widths), 2 * widest
        bins: list[int] = []
        rows: list[int] = []
        slots: list[list[int]] = [[] for _ in range(n_bins)]
        for number, band in enumerate(bands):
            for place, k in enumerate(band):
                slots[k].append(number * widest + place)
            spare = widest - len(band)
            bins += [*band, *[n_bins] * spare]
            first = 2 * sum(widths[:number])
            rows += [*range(first, first + 2 * len(band)), *[self.rows] * (2 * spare)]
        self.overlap = max(map(len, slots))
        spare_slot = len(bands) * widest
        slots = [s + [spare_slot] * (self.overlap - len(s)) for s in slots]
        self._index("bins", bins)
        self._index("row_index", rows)
        self._index("slots", [s for group in slots for s in group])
        self._index("widths", widths)

    def _index(self, name: str, values: list[int]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def per_row(self, per_band: Tensor) -> Tensor:
        """(bands,) -> (rows,): each row gets the value of its band."""
        return per_band.repeat_interleave(2 * self.widths, output_size=self.rows)

    def split(self, spec: Tensor) -> Tensor:
        """Complex (batch, frames, bins) -> (batch, frames, bands, padded), (re, im) by bin."""
        parts = functional.pad(torch.view_as_real(spec), (0, 0, 0, 1))
        return parts.index_select(2, self.bins).reshape(*spec.shape[:2], self.n_bands, self.padded)

    def pad(self, weight: Tensor) -> Tensor:
        """(rows, ...) -> (bands, padded, ...); padding rows are zero."""
        weight = torch.cat([weight, weight.new_zeros(1, *weight.shape[1:])])
        return weight.index_select(0, self.row_index).unflatten(0, (self.n_bands, self.padded))

    def merge(self, bands: Tensor) -> Tensor:
        """(..., bands, padded) -> complex (..., bins); overlapping bands are summed."""
        parts = bands.reshape(*bands.shape[:-2], -1, 2)
        if self.overlap > 1:
            parts = functional.pad(parts, (0, 0, 0, 1))
        parts = parts.index_select(-2, self.slots).unflatten(-2, (-1, self.overlap))
        return torch.view_as_complex(parts.sum(-2))


def _xavier(weight: Tensor, fan_in: Tensor | int, fan_out: int) -> None:
    """Fill in place, Xavier-uniform; `fan_in` may differ along the first axis."""
    bound = (6 / (torch.as_tensor(fan_in, dtype=torch.float32) + fan_out)).sqrt()
    with torch.no_grad():
        weight.uniform_(-1, 1).mul_(bound.view(-1, *[1] * (weight.ndim - 1)))


class LinearBandEncoder(nn.Module):
    """Per band and frame: RMS norm over the band's values, then a linear map to the channels."""

    def __init__(self, *, channels: int, bands: Bands) -> None:
        super().__init__()
        self.map = BandMap(bands)
        self.gamma = nn.Parameter(torch.ones(self.map.rows))
        self.weight = nn.Parameter(torch.empty(self.map.rows, channels))
        self.bias = nn.Parameter(torch.zeros(self.map.n_bands, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _xavier(self.weight, self.map.per_row(2 * self.map.widths), self.weight.shape[1])

    def forward(self, spec: Tensor) -> Tensor:
        x = functional.normalize(self.map.split(spec), dim=-1)
        scale = self.map.pad(self.gamma) * (2 * self.map.widths).to(x.dtype).sqrt()[:, None]
        weight = scale[..., None] * self.map.pad(self.weight)
        return torch.einsum("btni,nio->btno", x, weight) + self.bias


class LinearBandDecoder(nn.Module):
    """Per band and frame: two tanh layers of `expansion` x channels, then a gated linear unit."""

    def __init__(self, *, channels: int, bands: Bands, expansion: int = 4) -> None:
        super().__init__()
        self.map = BandMap(bands)
        n_bands, hidden = self.map.n_bands, expansion * channels
        self.weight_in = nn.Parameter(torch.empty(n_bands, channels, hidden))
        self.bias_in = nn.Parameter(torch.zeros(n_bands, hidden))
        self.weight_mid = nn.Parameter(torch.empty(n_bands, hidden, hidden))
        self.bias_mid = nn.Parameter(torch.zeros(n_bands, hidden))
        self.weight_out = nn.Parameter(torch.empty(self.map.rows, 2, hidden))  # value, gate
        self.bias_out = nn.Parameter(torch.zeros(self.map.rows, 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _, channels, hidden = self.weight_in.shape
        _xavier(self.weight_in, channels, hidden)
        _xavier(self.weight_mid, hidden, hidden)
        _xavier(self.weight_out, self.map.per_row(4 * self.map.widths), hidden)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        x = features.flatten(0, 2).transpose(0, 1)  # (bands, frames of all streams, channels)
        x = torch.baddbmm(self.bias_in[:, None], x, self.weight_in).tanh()
        x = torch.baddbmm(self.bias_mid[:, None], x, self.weight_mid).tanh()
        weight = self.map.pad(self.weight_out).transpose(1, 2).flatten(1, 2)
        bias = self.map.pad(self.bias_out).transpose(1, 2).flatten(1, 2)
        x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
        x = functional.glu(x).transpose(0, 1)
        return self.map.merge(x).unflatten(0, features.shape[:3])


class ConvBandEncoder(nn.Module):
    """Per band: group norm over its values and all frames, then a convolution along time."""

    def __init__(
        self, *, channels: int, bands: Bands, kernel_size: int = 3, eps: float = 1e-8
    ) -> None:
        super().__init__()
        self.map = BandMap(bands)
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(self.map.rows))
        self.beta = nn.Parameter(torch.zeros(self.map.rows))
        self.weight = nn.Parameter(torch.empty(self.map.rows, channels, kernel_size))
        self.bias = nn.Parameter(torch.zeros(self.map.n_bands, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _, channels, kernel_size = self.weight.shape
        fan_in = kernel_size * self.map.per_row(2 * self.map.widths)
        _xavier(self.weight, fan_in, kernel_size * channels)

    def forward(self, spec: Tensor) -> Tensor:
        kernel_size, frames = self.weight.shape[2], spec.shape[1]
        x = self._norm(self.map.split(spec))
        x = functional.pad(x, (0, 0, 0, 0, kernel_size // 2, kernel_size // 2))
        x = torch.cat([x[:, k : k + frames] for k in range(kernel_size)], dim=-1)
        weight = self.map.pad(self.weight).permute(0, 3, 1, 2).flatten(1, 2)
        return torch.einsum("btni,nio->btno", x, weight) + self.bias

    def _norm(self, x: Tensor) -> Tensor:
        """Group norm of each band; the zero padding has no effect on it and stays zero."""
        count = x.shape[1] * 2 * self.map.widths[:, None]
        inside = self.map.row_index.view(x.shape[2:]) < self.map.rows
        x = (x - x.sum((1, 3), keepdim=True) / count) * inside
        variance = x.square().sum((1, 3), keepdim=True) / count
        gamma, beta = self.map.pad(self.gamma), self.map.pad(self.beta)
        return x * (variance + self.eps).rsqrt() * gamma + beta


class ConvBandDecoder(nn.Module):
    """Per band: a transposed convolution along time from the channels to the band's values."""

    def __init__(self, *, channels: int, bands: Bands, kernel_size: int = 3) -> None:
        super().__init__()
        self.map = BandMap(bands)
        self.weight = nn.Parameter(torch.empty(self.map.rows, channels, kernel_size))
        self.bias = nn.Parameter(torch.zeros(self.map.rows))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _, channels, kernel_size = self.weight.shape
        fan_in = kernel_size * self.map.per_row(2 * self.map.widths)
        _xavier(self.weight, fan_in, kernel_size * channels)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        # tap k of the transposed kernel adds frame t to frame t + k - centre
        taps = torch.einsum("bstnc,nick->kbstni", features, self.map.pad(self.weight))
        return self.map.merge(overlapped(taps) + self.map.pad(self.bias))


class TigerDecoder(nn.Module):
    """TIGER's complex masks: per band PReLU, a gated linear map, then the mixture times the mask.

    The masks of an utterance's streams sum to 1 + 0j in every bin. The released code normalises
    over a single stream, which makes each mask 1, and pairs streams with other utterances. Both
    are fixed here, so no released output exists to compare with. The matching encoder is
    `ConvBandEncoder` with kernel_size=1.
    """

    def __init__(self, *, channels: int, bands: Bands) -> None:
        super().__init__()
        self.map = BandMap(bands)
        self.slope = nn.Parameter(torch.full((self.map.n_bands,), 0.25))
        self.weight = nn.Parameter(torch.empty(self.map.rows, 2, channels))  # value, gate
        self.bias = nn.Parameter(torch.zeros(self.map.rows, 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _xavier(self.weight, self.map.per_row(4 * self.map.widths), self.weight.shape[2])

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        return spec[:, None] * _summing_to_one(self.masks(features))

    def masks(self, features: Tensor) -> Tensor:
        """Complex masks (batch, n_src, frames, bins), before they are made to sum to one."""
        x = functional.prelu(features.flatten(0, 2), self.slope).view_as(features)
        x = torch.einsum("bstnc,nigc->gbstni", x, self.map.pad(self.weight))
        value, gate = x + self.map.pad(self.bias).movedim(-1, 0)[:, None, None, None]
        return self.map.merge(value * gate.sigmoid())


class JointTigerDecoder(nn.Module):
    """As `TigerDecoder`, but with weights of its own for each source, all out of one map."""

    def __init__(self, decoders: list[TigerDecoder]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)

    def forward(self, features: Tensor, spec: Tensor) -> Tensor:
        decoders = cast(Iterable[TigerDecoder], self.decoders)
        masks = torch.cat([decoder.masks(features) for decoder in decoders], dim=1)
        return spec[:, None] * _summing_to_one(masks)


def _summing_to_one(masks: Tensor) -> Tensor:
    """Spread over the masks of a bin what their sum lacks of 1 + 0j."""
    return masks + (1 - masks.sum(1, keepdim=True)) / masks.shape[1]
