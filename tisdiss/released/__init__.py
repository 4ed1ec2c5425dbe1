"""Checkpoints of the released code, of ESPnet's TF-GridNet and of SepReformer.

model_config(meta)           the settings of ours that the authors' settings mean
build(meta)                  the model that they describe
load(model, state_dict)      their weights into it
export(model)                its weights by their names
load_released(path, meta)    a model with its weights, from a checkpoint file
"""

from tisdiss.released.tisdiss import build, export, load, load_released, model_config

__all__ = ["build", "export", "load", "load_released", "model_config"]
