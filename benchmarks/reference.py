"""A plain implementation of the layers, as the reference for speed and memory.

Every operation follows its formula: feed-forwards pad, convolve and crop (also along the two
speakers), attention computes whole score matrices, each depth is one inference, and the loss loops
over permutations. The plain model shares the parameters of the model that it is made from.
"""

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tisdiss.layers import Attention, FeedForward, LocoformerPath, RMSGroupNorm
from tisdiss.model import TISDiSS
from tisdiss.splitter import SwiGLUSplitter


class PlainNorm(nn.Module):
    def __init__(self, norm: RMSGroupNorm) -> None:
        super().__init__()
        self.scale, self.groups, self.eps = norm.scale, norm.groups, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.unflatten(-1, (self.groups, -1))
        root = grouped.norm(2, dim=-1, keepdim=True) / math.sqrt(grouped.shape[-1])
        return (grouped / (root + self.eps)).flatten(-2) * self.scale


class PlainFeedForward(nn.Module):
    def __init__(self, ffn: FeedForward) -> None:
        super().__init__()
        self.conv, self.deconv = ffn.conv, ffn.deconv
        (self.kernel,), (self.stride,) = ffn.conv.kernel_size, ffn.conv.stride

    def forward(self, x: Tensor) -> Tensor:
        length, edge = x.shape[1], self.kernel - self.stride
        steps = math.ceil((length + 2 * edge - self.kernel) / self.stride)
        uneven = steps * self.stride + self.kernel - length - 2 * edge
        padded = F.pad(x.transpose(1, 2), (edge, edge + uneven))
        value, gate = self.conv(padded).chunk(2, dim=1)
        out = self.deconv(value * F.silu(gate))
        return out[..., edge : edge + length].transpose(1, 2)


class PlainAttention(nn.Module):
    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.qkv, self.out, self.n_heads = attention.qkv, attention.out, attention.n_heads

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = rotate(qkv[0]), rotate(qkv[1]), qkv[2]
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))


class PlainPath(nn.Module):
    def __init__(self, path: LocoformerPath) -> None:
        super().__init__()
        parts = [path.before, path.attention, path.after]
        self.parts = nn.ModuleList(part for part in parts if part is not None)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = x + part(x)
        return x


class PlainSplitter(nn.Module):
    def __init__(self, splitter: SwiGLUSplitter) -> None:
        super().__init__()
        self.conv, self.deconv, self.n_src = splitter.conv, splitter.deconv, splitter.n_src

    def forward(self, features: Tensor) -> Tensor:
        value, gate = self.conv(features.permute(0, 3, 1, 2).contiguous()).chunk(2, dim=1)
        split = self.deconv(value * F.silu(gate)).unflatten(1, (self.n_src, -1))
        return split.permute(0, 1, 3, 4, 2).contiguous()


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding: turns each pair of channels (2i, 2i+1) by position x frequency."""
    length, width = x.shape[-2:]
    frequency = 1.0 / 10000.0 ** (torch.arange(0, width, 2, device=x.device) / width)
    position = torch.arange(length, device=x.device, dtype=x.dtype)
    angle = position[:, None] * frequency.repeat_interleave(2).to(x.dtype)
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * angle.cos() + turned * angle.sin()


def reference(model: TISDiSS) -> TISDiSS:
    """The model with plain layers over the same parameters."""
    memo = {id(parameter): parameter for parameter in model.parameters()}
    plain = copy.deepcopy(model, memo)
    kinds = {
        RMSGroupNorm: PlainNorm,
        FeedForward: PlainFeedForward,
        Attention: PlainAttention,
        SwiGLUSplitter: PlainSplitter,
        LocoformerPath: PlainPath,
    }
    for kind, plain_kind in kinds.items():  # inner layers first, because a path takes its parts
        for parent in list(plain.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, kind):
                    setattr(parent, name, plain_kind(child))
    return plain


def every_depth(model: TISDiSS, mixture: Tensor, depths: range) -> list[Tensor]:
    """One whole inference per depth."""
    return [model(mixture, n_re=n_re) for n_re in depths]


def every_pair_of_depths(
    model: TISDiSS, mixture: Tensor, n_sep: range, n_re: range
) -> list[Tensor]:
    """One whole inference per pair of depths."""
    pairs = itertools.product(n_sep, n_re)
    return [model(mixture, n_sep=sep, n_re=re) for sep, re in pairs]


def loss(estimates: Tensor, sources: Tensor, clamp: float = 1e-7) -> Tensor:
    """The loss of the best permutation, averaged over depths and utterances."""
    total = estimates.new_zeros(())
    for depth in estimates:
        each = []
        for order in itertools.permutations(range(sources.shape[1])):
            pairs = [_pair_loss(depth[:, j], sources[:, i], clamp) for i, j in enumerate(order)]
            each.append(torch.stack(pairs).mean(0))
        total = total + torch.stack(each).min(0).values.mean()
    return total / len(estimates)


def _pair_loss(estimate: Tensor, source: Tensor, clamp: float) -> Tensor:
    estimate = F.normalize(estimate - estimate.mean(-1, keepdim=True), dim=-1)
    source = F.normalize(source - source.mean(-1, keepdim=True), dim=-1)
    squared = (estimate * source).sum(-1).square().clamp(clamp, 1 - clamp)
    return 10 * torch.log10((1 - squared) / squared)
