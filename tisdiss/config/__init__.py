"""Frozen settings of a model, a training and an evaluation, with their symbols in the paper.

`model.py`, `codec.py`, `whole.py`, `data.py` and `training.py` define them, `numbers.py` the types
of their numbers.
Nothing here imports torch, so that planning and `--help` stay instant.
"""

from tisdiss.config.any_model import AnyModel, model_from_json, named
from tisdiss.config.codec import CodecConfig
from tisdiss.config.data import DataConfig
from tisdiss.config.model import (
    BlockConfig,
    FocusedConfig,
    GridConfig,
    Layer,
    ModelConfig,
)
from tisdiss.config.numbers import Condition, Config, Passes, Seed, check_seed
from tisdiss.config.training import EvalConfig, LossConfig, OptimConfig, TrainConfig
from tisdiss.config.whole import WholeConfig
from tisdiss.depths import Decode, LossTerm

__all__ = [
    "AnyModel",
    "BlockConfig",
    "CodecConfig",
    "Condition",
    "Config",
    "DataConfig",
    "Decode",
    "EvalConfig",
    "FocusedConfig",
    "GridConfig",
    "Layer",
    "LossConfig",
    "LossTerm",
    "ModelConfig",
    "OptimConfig",
    "Passes",
    "Seed",
    "TrainConfig",
    "WholeConfig",
    "check_seed",
    "model_from_json",
    "named",
]
