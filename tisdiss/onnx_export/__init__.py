"""A model as ONNX graphs that keep N_re as an argument.

`export.py` writes them, `runner.py` runs them.

The graphs are written node by node from the formulas of the layers, so that they hold for any
length and need neither tracing nor complex numbers. `runner.py` needs only numpy and onnxruntime.
"""
