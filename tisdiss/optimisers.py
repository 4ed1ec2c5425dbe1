"""Optimisers: AdamW, or Muon for hidden matrices and AdamW for the rest; the moving average."""

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tisdiss.config import OptimConfig
from tisdiss.layers import WEIGHTED
from tisdiss.model import TISDiSS
from tisdiss.whole import AnyNet


class MuonAdamW:
    """Muon and AdamW with the interface of one optimiser.

    Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) makes all
    singular values of a matrix's update about equal. A convolution kernel is treated as a matrix
    with one row per entry of its first axis, as in the authors' code.
    """

    def __init__(self, model: TISDiSS, optim: OptimConfig) -> None:
        self.kernels = hidden_kernels(model)
        self.matrices = [nn.Parameter(k.detach().view(len(k), -1)) for k in self.kernels]
        hidden = set(self.kernels)
        self.adamw = adamw([p for p in model.parameters() if p not in hidden], optim)
        # `lr_scale` keeps the two rates in proportion while the schedule changes both.
        group = {"params": self.matrices, "lr_scale": optim.muon_lr / optim.lr}
        self.muon = torch.optim.Muon([group], optim.muon_lr, optim.weight_decay)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.adamw.param_groups + self.muon.param_groups

    def step(self) -> None:
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.reshape(matrix.shape)
        self.adamw.step()
        self.muon.step()

    def state_dict(self) -> dict[str, Any]:
        return {"adamw": self.adamw.state_dict(), "muon": self.muon.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.adamw.load_state_dict(saved["adamw"])
        self.muon.load_state_dict(saved["muon"])


Optimiser = torch.optim.AdamW | MuonAdamW


def build_optimiser(model: AnyNet, optim: OptimConfig) -> Optimiser:
    """The optimiser of a training, for the model on its device."""
    if optim.kind == "muon" and isinstance(model, TISDiSS):
        return MuonAdamW(model, optim)
    return adamw(list(model.parameters()), optim)


def adamw(parameters: list[nn.Parameter], optim: OptimConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters,
        lr=optim.lr,
        betas=optim.betas,
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        foreach=True,
    )


def set_rate(optimiser: Optimiser, lr: float) -> None:
    """Set AdamW's rate to `lr`, and Muon's in proportion."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def hidden_kernels(model: TISDiSS) -> list[nn.Parameter]:
    """Weights of products and convolutions between encoder and decoder, without biases."""
    hidden = (model.separator, model.splitter, model.reconstructor)
    layers = [layer for part in hidden if part is not None for layer in part.modules()]
    return [
        parameter
        for layer in layers
        if isinstance(layer, WEIGHTED)
        for parameter in layer.parameters()
        if parameter.dim() > 1
    ]


def moving_average(model: AnyNet, decay: float) -> AveragedModel:
    """A model whose weights are the exponential moving average of those of `model`.

    After n updates its decay is (1 + n) / (10 + n), at most `decay`, so that the first weights do
    not dominate.
    """

    def follow(averages: Any, weights: Any, updates: Any) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averages, weights, updates)

    return AveragedModel(model, multi_avg_fn=follow)
