"""Names and shapes of encoders and decoders in released checkpoints."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import nn

from tisdiss.bands import (
    ConvBandDecoder,
    ConvBandEncoder,
    LinearBandDecoder,
    LinearBandEncoder,
    TigerDecoder,
)
from tisdiss.codec import ConvEncoder
from tisdiss.released.slots import Slots, module_slots, slot_of


def codec_slots(encoder: Any, decoder: nn.Module) -> Slots:
    """The slots of encoder and decoder, without a convolutional decoder, whose slots come later."""
    if isinstance(encoder, ConvEncoder):
        yield from module_slots("conv", encoder, {"conv": "0", "norm": "1"})
        return
    slots, outer = _BAND_SLOTS[type(decoder)]
    ends = encoder.map.widths.cumsum(0).tolist()
    rows = [slice(2 * a, 2 * b) for a, b in pairwise([0, *ends])]
    for side, codec, name in zip(slots, (encoder, decoder), outer, strict=True):
        for i, band in enumerate(rows):
            for key, slot in side(codec, i, band):
                yield f"{name}.{i}.{key}", slot


def _linear_encoder(codec: LinearBandEncoder, i: int, rows: slice) -> Slots:
    yield "0.gamma", slot_of(codec.gamma[rows])
    yield "1.weight", slot_of(codec.weight[rows].T)
    yield "1.bias", slot_of(codec.bias[i])


def _linear_decoder(codec: LinearBandDecoder, i: int, rows: slice) -> Slots:
    for key, part in (("0.0", "in"), ("0.2", "mid")):
        yield f"{key}.weight", slot_of(getattr(codec, f"weight_{part}")[i].T)
        yield f"{key}.bias", slot_of(getattr(codec, f"bias_{part}")[i])
    out = codec.weight_out[rows].transpose(0, 1)  # value | gate, then the band's rows
    yield "0.4.weight", slot_of(out, 2 * out.shape[1], out.shape[2])
    yield "0.4.bias", slot_of(codec.bias_out[rows].T, 2 * out.shape[1])


def _conv_encoder(codec: ConvBandEncoder, i: int, rows: slice) -> Slots:
    yield "0.weight", slot_of(codec.gamma[rows])
    yield "0.bias", slot_of(codec.beta[rows])
    yield "1.weight", slot_of(codec.weight[rows].transpose(0, 1))
    yield "1.bias", slot_of(codec.bias[i])


def _conv_decoder(codec: ConvBandDecoder, i: int, rows: slice) -> Slots:
    yield "0.weight", slot_of(codec.weight[rows].transpose(0, 1))
    yield "0.bias", slot_of(codec.bias[rows])


def _tiger_encoder(codec: ConvBandEncoder, i: int, rows: slice) -> Slots:
    """In released tensors, all real rows of a band come before its imaginary rows."""
    n_rows = rows.stop - rows.start
    yield "0.weight", slot_of(codec.gamma[rows].unflatten(0, (-1, 2)).T, n_rows)
    yield "0.bias", slot_of(codec.beta[rows].unflatten(0, (-1, 2)).T, n_rows)
    weight = codec.weight[rows].unflatten(0, (-1, 2)).permute(2, 1, 0, 3)
    yield "1.weight", slot_of(weight, weight.shape[0], n_rows, 1)
    yield "1.bias", slot_of(codec.bias[i])


def _tiger_decoder(codec: TigerDecoder, i: int, rows: slice) -> Slots:
    """Order of released rows: value | gate, then real | imaginary, then the band's bins."""
    yield "0.weight", slot_of(codec.slope[i : i + 1])
    weight = codec.weight[rows].unflatten(0, (-1, 2)).permute(2, 1, 0, 3)
    yield "1.weight", slot_of(weight, 4 * weight.shape[2], weight.shape[3], 1)
    yield (
        "1.bias",
        slot_of(codec.bias[rows].unflatten(0, (-1, 2)).permute(2, 1, 0), 4 * weight.shape[2]),
    )


_SPLIT_NAMES = ("band_split_encoder.to_features", "band_split_decoder.to_freqs")
_BAND_SLOTS: dict[type[nn.Module], tuple[tuple[Callable[..., Slots], ...], tuple[str, str]]] = {
    LinearBandDecoder: ((_linear_encoder, _linear_decoder), _SPLIT_NAMES),
    ConvBandDecoder: ((_conv_encoder, _conv_decoder), _SPLIT_NAMES),
    TigerDecoder: ((_tiger_encoder, _tiger_decoder), ("tiger_encoder.BN", "tiger_decoder.mask")),
}
