"""Cost of one TF-GridNet block from its settings: see `formulas.py`. No torch here."""

from __future__ import annotations

from tisdiss.config import GridConfig, ModelConfig


def parameters(model: ModelConfig) -> int:
    """Trainable numbers of a block; its frame norms have some for every bin."""
    channels, bins, heads = model.block.channels, model.codec.positions, model.grid.n_heads
    keys = heads * _key_width(model)
    maps = 2 * (channels + 1) * keys + 2 * (channels + 1) * channels
    slopes, norms = 3 * heads + 1, 4 * bins * (keys + channels)
    return 2 * _path_parameters(model) + maps + slopes + norms


def macs(model: ModelConfig, frames: int, bins: int) -> int:
    """Multiply-adds of a block: every LSTM step, the maps to and from it, and the attention."""
    channels, keys = model.block.channels, model.grid.n_heads * _key_width(model)
    steps = sum(_steps(model.grid, frames, bins))
    paths = steps * (_lstm(model) + 2 * model.grid.hidden * model.grid.window * channels)
    maps = frames * bins * channels * (2 * keys + 2 * channels)
    return paths + maps + frames**2 * bins * (keys + channels)


def kept(model: ModelConfig, frames: int, bins: int) -> float:
    """Numbers that a block keeps for the gradient, per point of frames and bins, on a CPU.

    A CPU's LSTM (oneDNN) keeps two to three times its gates and states. What a GPU's (cuDNN) keeps
    has not been measured and should be less.
    """
    channels, heads, hidden = model.block.channels, model.grid.n_heads, model.grid.hidden
    seen = model.grid.window * channels
    step = seen + 4 * hidden + 2 * (9 * hidden + 6.5 * max(seen, hidden))
    cover = sum(_steps(model.grid, frames, bins)) / (frames * bins)
    attention = 8 * heads * _key_width(model) + 9 * channels + heads * frames / bins
    return 2 * channels + cover * step + attention


def _path_parameters(model: ModelConfig) -> int:
    channels, grid = model.block.channels, model.grid
    norm, biases = 2 * channels, 2 * 8 * grid.hidden
    joined = 2 * grid.hidden * grid.window * channels
    bias = channels * (grid.window if grid.adjoining else 1)
    return norm + _lstm(model) + biases + joined + bias


def _lstm(model: ModelConfig) -> int:
    """Weights of an LSTM and its multiply-adds per step: 2 directions of 4H (I D + H)."""
    hidden = model.grid.hidden
    return 2 * 4 * hidden * (model.grid.window * model.block.channels + hidden)


def _key_width(model: ModelConfig) -> int:
    """E: channels of a query or key in each head."""
    return -(-model.grid.qk_size // model.codec.positions)


def _steps(grid: GridConfig, frames: int, bins: int) -> tuple[int, int]:
    """Steps of the LSTM along bins, over all frames, and of the one along frames, over all bins."""
    tall, wide = (length + sum(grid.padding(length)) for length in (frames, bins))
    along_bins, along_frames = ((n - grid.window) // grid.hop + 1 for n in (wide, tall))
    return tall * along_bins, wide * along_frames
