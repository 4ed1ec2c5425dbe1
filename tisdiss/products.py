"""Matrix products over channels, by the quicker of two routines.

On a CPU, float32 matrix products run in MKL, which uses half the vector width of an AMD core;
oneDNN's 1x1 convolutions do not. PyTorch hands a convolution to oneDNN from 16 images on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_IMAGES = range(16, 129)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., channels in) times weight (channels out, channels in), transposed, plus the bias."""
    positions = x.shape[:-1].numel()
    images = _split(positions) if x.device.type == "cpu" and x.dtype == torch.float32 else None
    if images is None:
        return F.linear(x, weight, bias)
    planes = x.reshape(images, 1, positions // images, -1).permute(0, 3, 1, 2)
    out = F.conv2d(planes, weight[:, :, None, None])
    if bias is not None:
        out = out.add_(bias[:, None, None])
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _split(positions: int) -> int | None:
    """A number of images of equal size, at least 8 positions each."""
    return next((n for n in _IMAGES if positions % n == 0 and positions >= 8 * n), None)
