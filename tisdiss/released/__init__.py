"""Checkpoints of the released code and of ESPnet's TF-GridNet.

build(meta)                  the model that the authors' settings describe
load(model, state_dict)      their weights into it
load_released(path, meta)    both, from a checkpoint file
"""

from tisdiss.released.tisdiss import build, load, load_released

__all__ = ["build", "load", "load_released"]
