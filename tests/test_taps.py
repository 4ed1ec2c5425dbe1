"""Overlapped taps are their sum, each moved by its number of frames."""

import pytest
import torch
import torch.nn.functional as F

from tisdiss.kernels.taps import overlapped


@pytest.mark.parametrize("frames", [2, 3, 7])
@pytest.mark.parametrize("taps", [1, 3, 4, 5])
def test_taps_are_a_transposed_convolution(taps: int, frames: int) -> None:
    torch.manual_seed(0)
    given = torch.randn(2, 3, frames, 4, taps, 5, dtype=torch.float64, requires_grad=True)
    moved = given.permute(4, 0, 1, 2, 3, 5)
    centre = taps // 2
    expected = sum(F.pad(tap, (0, 0, 0, 0, k - centre, centre - k)) for k, tap in enumerate(moved))
    found, grad = overlapped(moved), torch.randn(2, 3, frames, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(out, given, grad)[0] for out in (found, expected))
    torch.testing.assert_close(ours, theirs)
