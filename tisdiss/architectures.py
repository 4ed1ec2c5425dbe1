"""The table of architectures: what builds each, what counts its cost, and how its models differ.

To add one, add an entry to `ARCHITECTURES`, a function that makes its parts and, for a new block, a
module that counts its cost. No torch here, because planning reads the table. A model that shares
none of our parts is an entry of `tisdiss.contract` instead.
"""

from dataclasses import dataclass

OURS = "tisdiss"
"""The architecture of the paper; the names of its models have no prefix."""


@dataclass(frozen=True)
class Architecture:
    """How a model is built and its cost counted."""

    parts: str
    """"module:function"; called with a `ModelConfig` it returns `parts.Parts`."""
    block_cost: str = "tisdiss.cost.locoformer_formulas"
    """The module with `parameters`, `macs` and `kept` of one Sep-Block."""
    splits: bool = False
    """Whether features are split by speaker; if not, the decoder makes all speakers of one map."""
    settings: str | None = None
    """The group of `ModelConfig` that only models of this architecture use."""


ARCHITECTURES = {
    OURS: Architecture("tisdiss.model:tisdiss_parts", splits=True),
    "tf-locoformer": Architecture("tisdiss.baselines.tf_locoformer:tf_locoformer_parts"),
    "tf-gridnet": Architecture(
        "tisdiss.baselines.tf_gridnet:tf_gridnet_parts",
        block_cost="tisdiss.cost.gridnet_formulas",
        settings="grid",
    ),
    "fla-tf-locoformer": Architecture(
        "tisdiss.baselines.fla_tf_locoformer:fla_tf_locoformer_parts",
        block_cost="tisdiss.cost.focused_formulas",
        settings="focused",
    ),
}


def groups_unused_by(entry: Architecture) -> dict[str, str]:
    """Groups of settings that only other architectures use, each with the name of its own."""
    owners = {other.settings: name for name, other in ARCHITECTURES.items() if other.settings}
    return {group: name for group, name in owners.items() if group != entry.settings}
