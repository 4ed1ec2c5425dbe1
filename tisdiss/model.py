"""The whole model: encoder -> separator x N_sep -> splitter -> reconstructor x N_re -> decoder.

Start reading here (paper Sec. 2). One set of weights serves every depth: `n_sep` and `n_re` are
arguments of the forward pass, and the output at N_re = n is that of the n-th repetition in any
deeper pass. `tisdiss_parts` builds the parts that the settings ask for.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pkgutil import resolve_name

import torch
from torch import Tensor, nn

from tisdiss.codec import build_codec
from tisdiss.config import ModelConfig
from tisdiss.depths import Depth, ends_pass, re_depths, sep_depths
from tisdiss.layers import WEIGHTED, Residual
from tisdiss.parts import Parts
from tisdiss.reconstructor import Reconstructor, triple_path
from tisdiss.separator import Separator, dual_path
from tisdiss.splitter_kinds import SPLITTER_KINDS
from tisdiss.stft import STFT


class TISDiSS(nn.Module):
    """Separates a mixture (batch, samples) into (batch, n_src, samples), at any depth."""

    def __init__(self, config: ModelConfig, parts: Parts) -> None:
        super().__init__()
        self.config = config
        self.stft = STFT(n_fft=config.codec.n_fft, hop=config.codec.hop)
        self.encoder = parts.encoder
        self.separator = parts.separator
        self.splitter = parts.splitter
        self.reconstructor = parts.reconstructor
        self.decoder = parts.decoder
        self.apply(_initialise)

    @classmethod
    def from_config(cls, config: ModelConfig) -> "TISDiSS":
        """A freshly initialised model; seed torch first for reproducible weights."""
        return cls(config, resolve_name(config.entry.parts)(config))

    def forward(
        self,
        mixture: Tensor,
        lengths: Tensor | None = None,
        n_sep: int | None = None,
        n_re: int | None = None,
    ) -> Tensor:
        """The last output, (batch, n_src, samples); depths default to the trained ones."""
        last = self.config.decoded(n_sep, n_re)[-1:]
        return next(self.outputs(mixture, last, lengths))

    def all_depths(
        self,
        mixture: Tensor,
        lengths: Tensor | None = None,
        n_sep: int | None = None,
        n_re: int | None = None,
    ) -> Tensor:
        """Every supervised output as (depth, batch, n_src, samples), the last output last."""
        depths = self.config.decoded(n_sep, n_re)
        return torch.stack(list(self.outputs(mixture, depths, lengths)))

    def repetitions(
        self,
        mixture: Tensor,
        n_re: Sequence[int],
        lengths: Tensor | None = None,
        n_sep: int | None = None,
    ) -> Iterator[Tensor]:
        """The output at each N_re of `n_re` (ascending) from one pass, as soon as it is ready."""
        if not n_re or list(n_re) != sorted(set(n_re)):
            raise ValueError(f"n_re={list(n_re)}: give distinct depths in ascending order")
        ends = [self.config.decoded(n_sep, n)[-1] for n in n_re]
        return self.outputs(mixture, ends, lengths)

    def outputs(
        self,
        mixture: Tensor,
        depths: Sequence[Depth],
        lengths: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Waveforms (batch, n_src, samples) at the given depths, which are in execution order.

        The last depth determines how often the separator and the reconstructor run. With
        `normalize_variance`, the mixture is divided by its standard deviation first, and the
        outputs are multiplied by it. Frames past `lengths` are set to zero; nothing else is masked.
        """
        spectrum, waves = self._analysed(mixture, lengths)
        for features in self._features(self.encoder(spectrum), depths):
            yield waves(features)

    def grid(
        self,
        mixture: Tensor,
        n_sep: Sequence[int],
        n_re: Sequence[int],
        lengths: Tensor | None = None,
    ) -> Iterator[tuple[int, int, Tensor]]:
        """(n_sep, n_re, output) for all pairs of depths; each repetition is computed once.

        The separator runs once, to the largest `n_sep`; after each pass in `n_sep`, the
        reconstructor runs to the largest `n_re`.
        """
        if self.reconstructor is None or not n_sep or not n_re or min(*n_sep, *n_re) < 1:
            raise ValueError(
                f"n_sep={list(n_sep)}, n_re={list(n_re)} of {self.config.name}: give depths of at "
                "least 1, and a model with a reconstructor"
            )
        spectrum, waves = self._analysed(mixture, lengths)
        encoded = self.encoder(spectrum)
        m_sep, m_re = self.config.m_sep, self.config.m_re
        passes = sep_depths(m_sep, max(n_sep))
        for depth, features in zip(passes, self.separator(encoded, max(n_sep)), strict=True):
            if not ends_pass(depth, m_sep) or depth.n_sep not in n_sep:
                continue
            branch = self.reconstructor(encoded, self.splitter(features), max(n_re))
            repetitions = re_depths(m_re, depth.n_sep, max(n_re))
            for end, re_features in zip(repetitions, branch, strict=True):
                if ends_pass(end, m_re) and end.n_re in n_re:
                    yield end.n_sep, end.n_re, waves(re_features)

    def _analysed(
        self, mixture: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The spectrum that the encoder takes, and a function: features to waveforms."""
        if mixture.dim() != 2:
            raise ValueError(f"mixture of shape {tuple(mixture.shape)}: give (batch, samples)")
        dtype = next(self.parameters()).dtype
        if mixture.dtype != dtype:
            raise ValueError(f"mixture of type {mixture.dtype}: this model takes {dtype}")
        scale = _deviation(mixture) if self.config.normalize_variance else mixture.new_ones(1, 1)
        spectrum = self.stft(mixture / scale, lengths)

        def waves(features: Tensor) -> Tensor:
            estimates = self.decoder(features, spectrum)
            return self.stft.inverse(estimates, mixture.shape[-1]) * scale.unsqueeze(-1)

        return spectrum, waves

    def _features(self, encoded: Tensor, depths: Sequence[Depth]) -> Iterator[Tensor]:
        """Per-speaker features (batch, n_src, frames, bins, channels) at each of `depths`.

        The splitter follows each separator depth; its last output feeds the reconstructor.
        """
        config, deepest = self.config, depths[-1]
        passes = sep_depths(config.m_sep, deepest.n_sep)
        for depth, sep_features in zip(passes, self.separator(encoded, deepest.n_sep), strict=True):
            if depth in depths:
                yield self.splitter(sep_features)
        features = self.splitter(sep_features)
        if any(depth.stage == "split" for depth in depths):
            yield features
        if self.reconstructor is None or not deepest.n_re:
            return
        repetitions = re_depths(config.m_re, deepest.n_sep, deepest.n_re)
        branch = self.reconstructor(encoded, features, deepest.n_re)
        for depth, re_features in zip(repetitions, branch, strict=True):
            if depth in depths:
                yield re_features


def tisdiss_parts(config: ModelConfig) -> Parts:
    """The five parts of TISDiSS; parts that a variant does not use are not built."""
    block = config.block
    encoder, decoder = build_codec(config)
    residual = Residual(block.channels) if config.has_residual else None
    separator = Separator(
        blocks=config.m_sep,
        block=partial(dual_path, block),
        residual=residual if config.sep_residual else None,
    )
    build_splitter = resolve_name(SPLITTER_KINDS[config.splitter].builder)
    splitter = build_splitter(block.channels, n_src=config.n_src)
    if not config.m_re:
        return Parts(encoder, separator, splitter, decoder)
    reconstructor = Reconstructor(
        blocks=config.m_re,
        block=partial(triple_path, block),
        residual=residual if config.re_residual else None,
    )
    return Parts(encoder, separator, splitter, decoder, reconstructor)


def _deviation(mixture: Tensor) -> Tensor:
    """Standard deviation of each row, (batch, 1); 1 for a silent row."""
    scale = mixture.std(dim=-1, keepdim=True)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _initialise(module: nn.Module) -> None:
    """Xavier-uniform weights, zero biases; scales, slopes and band codecs keep their own values."""
    if isinstance(module, WEIGHTED):
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
