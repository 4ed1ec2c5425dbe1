"""`python memory.py CASE reference|ours THREADS`: growth of peak memory over one pass, in bytes.

The pass has N_re = 1, because further repetitions use the same memory.
"""

import sys

import torch
from cases import build, forward, mixture

from tisdiss.machine.memory import keep_freed_memory, peak_growth


def main(case: str, variant: str, threads: int) -> int:
    torch.set_num_threads(threads)
    width, seconds = case.split("x")
    works = forward(int(width), 0.1, "cpu")
    works[variant]()  # loads libraries and allocates buffers
    model, x = build(int(width), "cpu"), mixture(float(seconds), "cpu")
    if variant == "ours":
        keep_freed_memory()  # as the `tisdiss` command does
    if variant == "reference":
        from reference import reference

        model = reference(model)
    with torch.no_grad():
        return peak_growth(lambda: model(x, n_re=1))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
