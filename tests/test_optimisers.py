"""Muon: its weights, its treatment of kernels, and the schedules of both learning rates."""

import pytest
import torch

from tisdiss.config import OptimConfig
from tisdiss.model import TISDiSS
from tisdiss.optimisers import MuonAdamW, build_optimiser, hidden_kernels, set_rate

MUON = OptimConfig(kind="muon", lr=2e-3, muon_lr=0.02, weight_decay=0.0)


def names_of(model: TISDiSS, parameters: list[torch.nn.Parameter]) -> set[str]:
    ours = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ours}


@pytest.mark.parametrize(
    "name",
    [
        *("sep1x2-re1x3-l1+3", "tf-locoformer-sep2x1-l1", "tf-gridnet-sep2x1-l1"),
        "fla-tf-locoformer-sep2x1-l1",
    ],
)
def test_every_weight_has_one_optimiser_and_gains_and_codec_have_adamw(tiny, name: str) -> None:
    model = TISDiSS.from_config(tiny(name))
    optimiser = build_optimiser(model, MUON)
    assert isinstance(optimiser, MuonAdamW)
    by_adamw = names_of(model, optimiser.adamw.param_groups[0]["params"])
    by_muon = names_of(model, optimiser.kernels)
    assert by_adamw | by_muon == dict(model.named_parameters()).keys()
    assert not by_adamw & by_muon
    for one in by_muon:
        assert "weight" in one and not one.startswith(("encoder", "decoder"))
    for one in by_adamw:
        assert (
            one.startswith(("encoder", "decoder"))
            or "weight" not in one
            or "norm" in one
            or (model.get_parameter(one).dim() == 1)
        ), one


def test_an_update_of_a_kernel_has_even_singular_values(tiny) -> None:
    model = TISDiSS.from_config(tiny("sep1x1-re1x1-l1"))
    optimiser = build_optimiser(model, MUON)
    kernels = hidden_kernels(model)
    before = [kernel.detach().clone() for kernel in kernels]
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    for old, kernel in zip(before, kernels, strict=True):
        change = ((old - kernel.detach()) / 0.02).flatten(1)
        rows, columns = change.shape
        values = torch.linalg.svdvals(change) / max(1, rows / columns) ** 0.5
        assert values.min() > 0.4 and values.max() < 1.4, kernel.shape
    assert {kernel.dim() for kernel in kernels} == {2, 3, 4}


def test_the_schedule_moves_both_rates(tiny) -> None:
    optimiser = build_optimiser(TISDiSS.from_config(tiny()), MUON)
    set_rate(optimiser, 1e-3)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1e-3, 0.01])
