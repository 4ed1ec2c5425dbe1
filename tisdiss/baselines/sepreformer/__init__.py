"""SepReformer: separates waveforms in a U of scales whose upper half sees the speakers apart.

model.py       read this first: encoder -> R stages down -> splitter -> R stages up -> head
blocks.py      what runs along time and across speakers at one scale
attention.py   attention with a table of relative positions
losses.py      the time loss of the main output, the magnitude loss of the early ones
"""

from tisdiss.baselines.sepreformer.losses import TrainingLoss
from tisdiss.baselines.sepreformer.model import SepReformer

__all__ = ["SepReformer", "TrainingLoss"]
