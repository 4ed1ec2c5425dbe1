"""Counts a whole model whose package gives no formulas: settings in, parameters and MACs out.

A process of its own, because a plan does not import torch: `planned.py` starts it.
"""

import json
import sys

from tisdiss.config import WholeConfig, model_from_json
from tisdiss.cost.measured import macs_of
from tisdiss.cost.planned import SECONDS
from tisdiss.whole import build


def main() -> None:
    """Read settings as JSON from standard input; print one line of JSON."""
    config = model_from_json(sys.stdin.read())
    assert isinstance(config, WholeConfig)
    model = build(config).eval()
    print(
        json.dumps(
            {
                "parameters": sum(p.numel() for p in model.parameters()),
                "macs": {d: macs_of(model, SECONDS, d) for d in config.dial or (0,)},
            }
        )
    )


if __name__ == "__main__":
    main()
