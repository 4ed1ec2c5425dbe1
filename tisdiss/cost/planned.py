"""The cost of a model of either kind, for plans: from formulas, or counted. No torch here.

A whole model without formulas (`WholeModel.cost`) is counted by another process, `counted.py`, on
`SECONDS` of audio, and the products of other lengths are taken in proportion.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module

from tisdiss.config import AnyModel, ModelConfig, WholeConfig, model_from_json
from tisdiss.contract import WHOLE_MODELS, Cost
from tisdiss.cost import formulas
from tisdiss.plugins import PluginError

SECONDS = 4.0
"""Length of audio that a model is counted on."""
LIMIT_SECONDS = 300.0
"""Time for counting a model."""
_BYTES, _COPIES = 4, 4


def is_counted(model: AnyModel) -> bool:
    """Whether the cost of a model is counted instead of calculated."""
    return isinstance(model, WholeConfig) and not model.entry.cost


def parameters(model: AnyModel) -> int:
    """Number of trainable parameters."""
    if isinstance(model, ModelConfig):
        return formulas.parameters(model)
    return cost_of(model, SECONDS).parameters


def macs(
    model: AnyModel, seconds: float, *, n_sep: int | None = None, n_re: int | None = None
) -> int:
    """Multiply-adds of one inference pass, to the trained depth for None."""
    if isinstance(model, ModelConfig):
        return formulas.macs(model, seconds, n_sep=n_sep, n_re=n_re)
    _, depth = model.check_depth(n_sep, n_re)
    return cost_of(model, seconds).macs[depth]


def macs_per_second(model: AnyModel, n_re: int | None = None) -> int:
    """Multiply-adds per second of audio, the mean over a signal of 4 s."""
    return round(macs(model, SECONDS, n_re=n_re) / SECONDS)


def training_macs(model: AnyModel, seconds: float) -> int:
    """Multiply-adds of one training example, forward and backward."""
    if isinstance(model, ModelConfig):
        return formulas.training_macs(model, seconds)
    own = cost_of(model, seconds).training_macs
    return 3 * macs(model, seconds) if own is None else own


def training_bytes(model: AnyModel, seconds: float, batch_size: int) -> int | None:
    """Bytes of a training step; None if a whole model does not say what it keeps."""
    if isinstance(model, ModelConfig):
        return formulas.training_bytes(model, seconds, batch_size)
    cost = cost_of(model, seconds)
    if cost.training_bytes is None:
        return None
    return _BYTES * _COPIES * cost.parameters + batch_size * cost.training_bytes


def cost_of(model: WholeConfig, seconds: float) -> Cost:
    """The cost of a whole model by its own formulas, or counted."""
    return _cost(model.model_dump_json(), seconds)


@cache
def _cost(settings: str, seconds: float) -> Cost:
    model = model_from_json(settings)
    assert isinstance(model, WholeConfig)
    who = WHOLE_MODELS.of(model.architecture)
    if not model.entry.cost:
        return _in_proportion(_counted(settings, who), seconds)
    try:
        cost = import_module(model.entry.cost).cost(model.settings, seconds)
    except Exception as error:
        raise PluginError(f"{who}: its cost raised {type(error).__name__}: {error}") from error
    depths = {*model.dial} or {0}
    if not isinstance(cost, Cost) or not depths <= {*cost.macs}:
        raise PluginError(f"{who}: its cost is no `Cost` with the depths {sorted(depths)}")
    return cost


def _in_proportion(cost: Cost, seconds: float) -> Cost:
    """The cost of another length than `SECONDS`."""
    share = seconds / SECONDS
    return Cost(cost.parameters, {depth: round(share * n) for depth, n in cost.macs.items()})


@cache
def _counted(settings: str, who: str) -> Cost:
    """The cost that another process counts, which may import torch."""
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tisdiss.cost.counted"],
            input=settings,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"{who}: counting took over {LIMIT_SECONDS:g} s; give a cost") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise PluginError(f"{who} cannot be counted: {reason}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Cost(found["parameters"], {int(depth): n for depth, n in found["macs"].items()})
