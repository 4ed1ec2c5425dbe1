"""The architectures, in one table: what builds one, what it costs, and what it cannot do.

A new architecture is an entry of `ARCHITECTURES`, the function that makes its parts and, where its
block is new, the module that counts it. No torch here: planning reads the table, too.
"""

from dataclasses import dataclass

OURS = "tisdiss"
"""The architecture of the paper; its models are named without a prefix."""


@dataclass(frozen=True)
class Architecture:
    """How a separator is built and counted."""

    parts: str
    """"module:function"; called with a `ModelConfig` it returns `parts.Parts`."""
    block_cost: str = "tisdiss.cost.locoformer_formulas"
    """The module with `parameters`, `macs` and `kept` of one Sep-Block."""
    splits: bool = False
    """Features are split by speaker; else one decoder makes all speakers out of one map."""
    has_grid: bool = False
    """Its block is that of `GridConfig`, whose LSTMs run in float32."""


ARCHITECTURES = {
    OURS: Architecture("tisdiss.model:tisdiss_parts", splits=True),
    "tf-locoformer": Architecture("tisdiss.baselines.tf_locoformer:tf_locoformer_parts"),
    "tf-gridnet": Architecture(
        "tisdiss.baselines.tf_gridnet:tf_gridnet_parts",
        block_cost="tisdiss.cost.gridnet_formulas",
        has_grid=True,
    ),
}
