"""Names and shapes of the parts of a Locoformer path in released checkpoints."""

from torch import nn

from tisdiss.kernels.attention import rotary_frequencies
from tisdiss.layers import LocoformerPath
from tisdiss.released.slots import Slot, Slots, module_slots, slot_of


def feed_forward_slots(path: LocoformerPath, *, inside: str = "") -> Slots:
    """The feed-forward after the attention is number 0, the one before it number 1.

    `inside` ends the name of each.
    """
    feed_forwards = [path.after] if path.before is None else [path.after, path.before]
    for i, (norm, _) in enumerate(feed_forwards):
        yield from norm_slots(f"ffn_norm.{i}", norm)
    for i, (_, layer) in enumerate(feed_forwards):
        yield from module_slots(f"ffn.{i}{inside}", layer, {"conv": "conv1d", "deconv": "deconv1d"})


def norm_slots(prefix: str, norm: nn.Module) -> Slots:
    for name, tensor in norm.named_parameters():
        yield f"{prefix}.{'gamma' if name == 'scale' else name}", slot_of(tensor)


def rotary_slot(head_dim: int) -> Slot:
    """A constant here, of which released checkpoints have a copy for each attention."""
    return Slot(rotary_frequencies(head_dim), (head_dim // 2,), "constant")
