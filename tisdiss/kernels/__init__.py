"""Fast computation of the formulas of `layers.py` and `splitter.py`.

A kernel computes the formula in its docstring; only rounding differs. `tests/test_speed_equal.py`
compares values and gradients of both.
"""
