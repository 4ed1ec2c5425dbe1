"""Rotary multi-head attention over (rows, positions, q | k | v), in few passes over memory."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tisdiss.kernels.fused import membership
from tisdiss.kernels.products import product

VECTOR = 16
"""float32 numbers in the widest vector of a CPU."""


def rotary_frequencies(head_dim: int, device: torch.device | None = None) -> Tensor:
    """10000^(-2i / head_dim), (head_dim / 2,), in float32 as the released code rounds it."""
    index = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32)
    return 1.0 / 10000.0 ** (index / head_dim)


def rotation(length: int, head_dim: int, like: Tensor) -> Tensor:
    """Unit complex numbers (length, head_dim / 2) with angle = position x frequency."""
    real = torch.promote_types(like.dtype, torch.float32)
    position = torch.arange(length, device=like.device, dtype=real)
    angle = position[:, None] * rotary_frequencies(head_dim, like.device).to(real)
    return torch.polar(torch.ones_like(angle), angle)


def rotated(qkv: Tensor, n_heads: int) -> Tensor:
    """q | k | v, with each pair of channels (2i, 2i+1) of q and k rotated as a complex number.

    One product covers q, k and v in one pass over memory: v is multiplied by 1, and q also by the
    1 / sqrt(head_dim) of the scores.
    """
    head_dim = qkv.shape[-1] // (3 * n_heads)
    turn = rotation(qkv.shape[1], head_dim, qkv).repeat(1, n_heads)
    turn = torch.cat([turn / math.sqrt(head_dim), turn, torch.ones_like(turn)], dim=-1)
    pairs = torch.view_as_complex(qkv.to(turn.real.dtype).unflatten(-1, (-1, 2)))
    turned = pairs * turn if torch.is_grad_enabled() else pairs.mul_(turn)
    return torch.view_as_real(turned).flatten(-2).to(qkv.dtype)


def whole_vectors(x: Tensor) -> Tensor:
    """x (rows, length, channels), padded with zeros after its positions if that saves time.

    On a CPU, softmax computes the exponentials of a row's scores 16 at a time and the remainder one
    by one, each ten times as slowly.
    """
    over = x.shape[1] % VECTOR
    if x.device.type != "cpu" or x.shape[1] < VECTOR or over < VECTOR // 2:
        return x
    return F.pad(x, (0, 0, 0, VECTOR - over))


def attend(qkv: Tensor, n_heads: int, length: int) -> Tensor:
    """Softmax(q k^T) v of each head: (rows, positions, q | k | v) -> (rows, length, v).

    q is already scaled (`rotated`). Positions from `length` on are padding (`whole_vectors`).
    """
    return _attend_pair(qkv, n_heads) if length == 2 else _attend_all(qkv, n_heads, length)


def _attend_all(qkv: Tensor, n_heads: int, length: int) -> Tensor:
    if qkv.dtype == torch.bfloat16 and qkv.device.type == "cpu" and torch.is_grad_enabled():
        # Its gradient takes ten times as long in bfloat16.
        with torch.autocast("cpu", enabled=False):
            return _attend_all(qkv.float(), n_heads, length)
    q, k, v = qkv.unflatten(-1, (3, n_heads, -1)).transpose(1, 3).unbind(2)
    keys = k.shape[2]  # each is rows, heads, positions, head_dim
    mask = None if keys == length else torch.arange(keys, device=k.device)[None] < length
    heads = F.scaled_dot_product_attention(q[:, :, :length], k, v, attn_mask=mask, scale=1.0)
    return heads.transpose(1, 2).flatten(-2)


def _attend_pair(qkv: Tensor, n_heads: int) -> Tensor:
    """Two positions, such as two speakers: the softmax is a sigmoid of the scores' difference."""
    q, k, v = qkv.unflatten(-1, (3, -1)).unbind(2)  # each rows, 2, attention_dim
    head = membership(n_heads, q.shape[-1], like=q)
    (k0, k1), (v0, v1) = k.split(1, dim=1), v.split(1, dim=1)
    first = torch.sigmoid(product(q * (k0 - k1), head))  # rows, 2, heads
    return torch.addcmul(v1, product(first, head.t()), v0 - v1)
