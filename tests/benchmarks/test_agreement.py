"""The plain reference costs as much as the released implementation."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import agreement


@pytest.mark.parametrize(
    ("cost", "within"), [(agreement.FORWARD, 0.01), (agreement.STEP, 0.01), (agreement.SMALL, 0.1)]
)
def test_the_reference_costs_what_the_released_code_costs_and_ours_less(cost, within) -> None:
    found = cost.measure()
    assert found["reference"] == pytest.approx(cost.released, rel=within)
    assert found["ours"] < 0.9 * found["reference"]
