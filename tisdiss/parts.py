"""The five parts of a model (Fig. 1a), which `TISDiSS` takes."""

from dataclasses import dataclass

from torch import nn

from tisdiss.reconstructor import Reconstructor
from tisdiss.separator import Separator


@dataclass(frozen=True)
class Parts:
    """The parts of one model; `reconstructor` is None without early split.

    Shapes between them: encoder (batch, frames, bins) complex -> (batch, frames, bands, channels);
    splitter -> (batch, n_src, frames, bands, channels); decoder, which also sees the mixture's
    spectrum -> (batch, n_src, frames, bins) complex.
    """

    encoder: nn.Module
    separator: Separator
    splitter: nn.Module
    decoder: nn.Module
    reconstructor: Reconstructor | None = None
