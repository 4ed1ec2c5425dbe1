"""Checkpoints of the released code and of the public code of the baselines.

model_config(meta)           our settings for the authors' settings
build(meta)                  a model with these settings
load(model, state_dict)      fill it with the authors' weights
export(model)                its weights under the authors' names
recipe(config)               the authors' settings for ours
load_released(path, meta)    a model with its weights, from a checkpoint file
load_with_note(path, meta)   the same, and a note of what was ignored in the file
"""

from tisdiss.released.recipes import recipe
from tisdiss.released.tisdiss import (
    build,
    export,
    load,
    load_released,
    load_with_note,
    model_config,
)

__all__ = ["build", "export", "load", "load_released", "load_with_note", "model_config", "recipe"]
