"""Attention whose scores know how far apart two frames are: (q k^T + q P^T) / sqrt(d).

P[i, j] is the row of one table for the offset i - j. The product of q with all rows that are
needed comes first and is moved into place, so that no tensor of frames x frames x d exists.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERIES = 256
"""Queries whose scores are computed at a time."""


class Attention(nn.Module):
    """One residual branch: norm, self-attention of each row, LayerScale.

    (rows, length, channels) -> the same shape.
    """

    def __init__(self, channels: int, *, n_heads: int, dropout: float, scale: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor, offsets: Tensor | None = None) -> Tensor:
        """`offsets`, as `Offsets` gives them for this length; None: positions are not told."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # each rows, heads, length, head width
        q = q / math.sqrt(q.shape[-1])
        heads = self._short(q, k, v) if offsets is None else self._long(q, k, v, offsets)
        return self.scale * self.dropout(self.out(heads.transpose(1, 2).flatten(2)))

    def _short(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Many rows of a few positions, where a fused kernel gains nothing."""
        return self.dropout(torch.softmax(q @ k.transpose(-1, -2), dim=-1)) @ v

    def _long(self, q: Tensor, k: Tensor, v: Tensor, offsets: Tensor) -> Tensor:
        dropout = self.dropout.p if self.training else 0.0
        length, parts, start = q.shape[2], [], 0
        for part in q.split(QUERIES, dim=2):
            end = start + part.shape[2]
            seen = offsets[length - end : 2 * length - start]
            added = in_place(part @ seen.t(), length)
            parts.append(
                F.scaled_dot_product_attention(
                    part, k, v, attn_mask=added, dropout_p=dropout, scale=1.0
                )
            )
            start = end
        return torch.cat(parts, dim=2)


class Offsets(nn.Module):
    """The table of relative positions: a row of `width` for each offset from -reach to reach - 1.

    Farther offsets take the row at the end.
    """

    def __init__(self, width: int, *, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.table = nn.Embedding(2 * reach, width)

    def forward(self, length: int) -> Tensor:
        """Rows for length - 1, ..., -length, (2 * length, width)."""
        offset = torch.arange(length - 1, -length - 1, -1, device=self.table.weight.device)
        return self.table(offset.clamp(-self.reach, self.reach - 1) + self.reach)


def in_place(products: Tensor, keys: int) -> Tensor:
    """Scores (..., queries, keys) out of products with falling offsets (..., queries, columns).

    There are queries + keys columns; those of query i begin at column queries - 1 - i.
    """
    queries, columns = products.shape[-2:]
    moved = products.flatten(-2)[..., queries - 1 :][..., : queries * (columns - 1)]
    return moved.unflatten(-1, (queries, columns - 1))[..., :keys]
