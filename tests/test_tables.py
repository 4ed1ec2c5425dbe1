"""The tables of codecs and architectures: a new entry has a name, a cost and a model."""

import sys
from pkgutil import resolve_name
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tisdiss.architectures import ARCHITECTURES, Architecture
from tisdiss.codec_kinds import CODEC_KINDS, CodecKind, CodecLayers
from tisdiss.config import ModelConfig
from tisdiss.cost import formulas
from tisdiss.model import TISDiSS
from tisdiss.splitter_kinds import SPLITTER_KINDS, SplitterKind


class PairEncoder(nn.Module):
    """Each pair of neighbouring bins, mapped to the channels."""

    def __init__(self, channels):
        super().__init__()
        self.map = nn.Linear(4, channels, bias=False)

    def forward(self, spec):
        parts = torch.view_as_real(spec[..., :-1]).flatten(2)
        return self.map(parts.unflatten(2, (-1, 4)))


class PairDecoder(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.map = nn.Linear(channels, 4, bias=False)

    def forward(self, features, spec):
        parts = self.map(features).flatten(3).unflatten(3, (-1, 2))
        return nn.functional.pad(torch.view_as_complex(parts), (0, 1))


@pytest.fixture
def pairs(monkeypatch):
    """A codec of pairs of bins, added in its table alone."""
    made_up = ModuleType("made_up")
    made_up.pair_codec = lambda size, *, eps: (
        PairEncoder(size.channels),
        PairDecoder(size.channels),
    )
    monkeypatch.setitem(sys.modules, "made_up", made_up)
    layers = CodecLayers(
        "made_up:pair_codec",
        encoder_parameters=lambda size: 4 * size.channels,
        decoder_parameters=lambda size: 4 * size.channels,
        encoder_macs=lambda size: len(size.bands) * 4 * size.channels,
        decoder_macs=lambda size: len(size.bands) * 4 * size.channels,
    )

    def layout(grid):
        return tuple((k, k + 1) for k in range(0, grid.n_fft // 2, 2))

    monkeypatch.setitem(CODEC_KINDS, "pairs", CodecKind(("-pairs",), layout, layers))


def test_a_codec_is_an_entry_of_its_table(pairs, tiny):
    model = tiny("sep1x2-re1x3-l1+3-pairs")
    assert (model.codec.kind, model.name) == ("pairs", "sep1x2-re1x3-l1+3-pairs")
    built = TISDiSS.from_config(model)
    assert formulas.parameters(model) == sum(p.numel() for p in built.parameters())
    assert formulas.shape(model, 1.0).bins == 32
    frames, pairs_of_bins, channels = formulas.shape(model, 1.0).frames, 32, 8
    ends = (1 + model.n_src) * frames * pairs_of_bins * 4 * channels
    other = tiny("sep1x2-re1x3-l1+3-bandsplit")  # 33 bands
    assert formulas._encoder(model, formulas.shape(model, 1.0)) * 3 == ends
    assert formulas.macs(model, 1.0) < formulas.macs(other, 1.0)
    assert built(torch.randn(1, 800)).shape == (1, 2, 800)


class HalfSplitter(nn.Module):
    """A linear map for each speaker."""

    def __init__(self, channels, *, n_src):
        super().__init__()
        self.n_src = n_src
        self.map = nn.Linear(channels, channels * n_src, bias=False)

    def forward(self, features):
        return self.map(features).unflatten(-1, (self.n_src, -1)).movedim(-2, 1).contiguous()


def test_a_splitter_is_an_entry_of_its_table(monkeypatch, tiny):
    made_up = ModuleType("made_up_splitter")
    made_up.HalfSplitter = HalfSplitter
    monkeypatch.setitem(sys.modules, "made_up_splitter", made_up)

    def products(channels, n_src):
        return channels**2 * n_src

    kind = SplitterKind(
        suffix="-spksplitlinear",
        builder="made_up_splitter:HalfSplitter",
        parameters=products,
        macs=products,
        kept=lambda channels, n_src: 0,
    )
    monkeypatch.setitem(SPLITTER_KINDS, "linear", kind)
    model = tiny("sep1x2-re1x3-l1+3-spksplitlinear-bandsplit")
    assert (model.splitter, model.name) == ("linear", "sep1x2-re1x3-l1+3-spksplitlinear-bandsplit")
    built = TISDiSS.from_config(model)
    assert formulas.parameters(model) == sum(p.numel() for p in built.parameters())
    grid = formulas.shape(model, 1.0)
    assert formulas._splitter(model, grid) == grid.points * 8 * 8 * 2
    assert built(torch.randn(1, 800)).shape == (1, 2, 800)


def test_an_unknown_codec_is_told_with_those_of_the_table(pairs):
    with pytest.raises(ValidationError, match="'bands-conv1d', 'tiger' or 'pairs'"):
        ModelConfig.model_validate({"codec": {"kind": "pair"}})
    with pytest.raises(ValidationError, match="Input should be 'conv2d', 'mel-linear'"):
        ModelConfig.model_validate({"codec": {"kind": 3}})


def test_an_architecture_is_an_entry_of_its_table(monkeypatch, tiny):
    built = "tisdiss.baselines.tf_locoformer:tf_locoformer_parts"
    cost = ModuleType("half_price")
    cost.parameters, cost.macs = lambda model: 100, lambda model, frames, bins: 7 * frames * bins
    monkeypatch.setitem(sys.modules, "half_price", cost)
    monkeypatch.setitem(ARCHITECTURES, "half", Architecture(built, block_cost="half_price"))
    model = tiny("half-sep3x2-l1x2")
    assert (model.architecture, model.name) == ("half", "half-sep3x2-l1x2")
    like = tiny("tf-locoformer-sep3x2-l1x2")
    assert formulas.parameters(model) - 3 * 100 == formulas.parameters(like) - 3 * sum(
        p.numel() for p in TISDiSS.from_config(like).separator.blocks[0].parameters()
    )
    grid = formulas.shape(model, 1.0)
    ends = formulas._encoder(like, grid) + formulas._decoder(like, grid)
    assert formulas.macs(model, 1.0) == 3 * 2 * 7 * grid.points + ends
    assert TISDiSS.from_config(model)(torch.randn(1, 800)).shape == (1, 2, 800)


@pytest.mark.parametrize("name", [*(kind.layers.builder for kind in CODEC_KINDS.values())])
def test_what_the_table_of_codecs_names_is_there(name):
    assert callable(resolve_name(name))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_the_table_of_architectures_names_is_there(name):
    entry = ARCHITECTURES[name]
    assert callable(resolve_name(entry.parts))
    cost = resolve_name(entry.block_cost)
    assert callable(cost.parameters) and callable(cost.macs) and callable(cost.kept)


@pytest.mark.parametrize("kind", CODEC_KINDS)
def test_every_way_to_write_a_codec_is_read(kind):
    for suffix in CODEC_KINDS[kind].suffixes:
        assert ModelConfig.from_name(f"sep1x2-re1x3-l1+3{suffix}").codec.kind == kind
