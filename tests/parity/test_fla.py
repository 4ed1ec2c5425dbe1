"""FLA-TFLocoformer from the inside: features after each layer, and one linear attention alone."""

from pathlib import Path

import measure
import pytest
import torch
from torch import Tensor

from tisdiss.baselines.fla_tf_locoformer import Layers, LinearPart
from tisdiss.model import TISDiSS
from tisdiss.released import tisdiss as espnet


@pytest.fixture(params=["fla_o01", "fla_o02"])
def released(request: pytest.FixtureRequest) -> tuple[TISDiSS, measure.Arrays]:
    """Our model with the golden weights in double precision, and the golden arrays."""
    meta, golden = measure.read(Path(measure.GOLDEN) / f"{request.param}.npz")
    model = espnet.build(meta)
    espnet.load(model, {name[3:]: value for name, value in golden.items() if name[:3] == "sd/"})
    return model.double(), golden


def test_features_after_encoder_and_layers_are_as_large(released) -> None:
    model, golden = released
    sizes: list[float] = []

    def note(module: torch.nn.Module, inputs: tuple[Tensor], features: Tensor) -> None:
        sizes.append(features.square().mean().sqrt().item())

    paths = [path for block in model.separator.blocks for path in block.paths]
    for module in (model.encoder, *paths):
        module.register_forward_hook(note)
    model(torch.as_tensor(golden["mix"]).double())
    assert sizes == pytest.approx(golden["f64/layer_rms"].tolist(), rel=1e-12)


def test_linear_attention_alone_is_the_released_one(released) -> None:
    model, golden = released
    part = first_linear_part(model)
    x = torch.as_tensor(golden["unit/in"])
    attended = part.attention(part.norm(x))
    assert measure.peak_deviation(attended, golden["unit/fla"]) < 1e-13
    assert measure.peak_deviation(part(x), golden["unit/out"]) < 1e-13


def first_linear_part(model: TISDiSS) -> LinearPart:
    """Of the first path along frames."""
    for block in model.separator.blocks:
        assert isinstance(block, Layers)
        for axis, path in zip(block.axes, block.paths, strict=True):
            if axis == "t":
                return path.attention[1]
    raise AssertionError("no path along frames")
