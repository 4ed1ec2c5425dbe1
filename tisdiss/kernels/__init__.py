"""How the formulas of `layers.py` and `splitter.py` are computed fast.

A kernel gives the value of the formula that its docstring states; only the order of rounding
differs (`tests/test_speed_equal.py` holds both against each other, in value and gradient).
"""
