"""The whole model: encoder -> separator x N_sep -> splitter -> reconstructor x N_re -> decoder.

Start reading here (paper Sec. 2). One set of weights serves every depth: `n_sep` and `n_re` are
arguments of the forward pass, and the output at N_re = n is that of the n-th repetition in any
deeper pass. Parts are chosen in `tisdiss_parts`, once, and handed in ready made.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tisdiss.baselines.tf_gridnet import tf_gridnet_parts
from tisdiss.baselines.tf_locoformer import tf_locoformer_parts
from tisdiss.codec import build_codec
from tisdiss.config import Depth, ModelConfig
from tisdiss.layers import Residual
from tisdiss.parts import Parts
from tisdiss.reconstructor import Reconstructor, triple_path
from tisdiss.separator import Separator, dual_path
from tisdiss.splitter import ConvSplitter, SwiGLUSplitter
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
        """A freshly initialised model; seed torch before for repeatable weights."""
        return cls(config, _PARTS[config.architecture](config))

    def forward(
        self,
        mixture: Tensor,
        lengths: Tensor | None = None,
        n_sep: int | None = None,
        n_re: int | None = None,
    ) -> Tensor:
        """The last output, (batch, n_src, samples); depths default to the trained ones."""
        last = self.config.decoded(n_sep, n_re)[-1:]
        return next(self.outputs(mixture, last, lengths, n_sep))

    def all_depths(
        self,
        mixture: Tensor,
        lengths: Tensor | None = None,
        n_sep: int | None = None,
        n_re: int | None = None,
    ) -> Tensor:
        """Every supervised output as (depth, batch, n_src, samples), the last output last."""
        depths = self.config.decoded(n_sep, n_re)
        return torch.stack(list(self.outputs(mixture, depths, lengths, n_sep)))

    def repetitions(
        self,
        mixture: Tensor,
        n_re: Sequence[int],
        lengths: Tensor | None = None,
        n_sep: int | None = None,
    ) -> Iterator[Tensor]:
        """Outputs at each ascending N_re of `n_re`, out of one pass, as soon as each is ready."""
        if not n_re or list(n_re) != sorted(set(n_re)):
            raise ValueError(f"n_re={list(n_re)}: give depths, each once and in ascending order")
        ends = [self.config.decoded(n_sep, n)[-1] for n in n_re]
        return self.outputs(mixture, ends, lengths, n_sep)

    def outputs(
        self,
        mixture: Tensor,
        depths: Sequence[Depth],
        lengths: Tensor | None = None,
        n_sep: int | None = None,
    ) -> Iterator[Tensor]:
        """Waveforms (batch, n_src, samples) at the given depths, which are in execution order.

        The mixture is divided by its standard deviation first and the outputs are multiplied by
        it. Frames past `lengths` are silenced; nothing else is masked.
        """
        spectrum, waves = self._analysed(mixture, lengths)
        for features in self._features(self.encoder(spectrum), depths, n_sep):
            yield waves(features)

    def grid(
        self,
        mixture: Tensor,
        n_sep: Sequence[int],
        n_re: Sequence[int],
        lengths: Tensor | None = None,
    ) -> Iterator[tuple[int, int, Tensor]]:
        """(n_sep, n_re, output) for all pairs of depths, each repetition computed once.

        The separator runs to the deepest `n_sep`; from each asked one branches a reconstructor.
        """
        if self.reconstructor is None or not n_sep or not n_re or min(*n_sep, *n_re) < 1:
            raise ValueError(
                f"n_sep={list(n_sep)}, n_re={list(n_re)} of {self.config.name}: give depths of at "
                "least 1, and a model with a reconstructor"
            )
        spectrum, waves = self._analysed(mixture, lengths)
        encoded = self.encoder(spectrum)
        m_sep, m_re = self.config.m_sep, self.config.m_re
        for i, mixed in enumerate(self.separator(encoded, max(n_sep)), start=1):
            if i % m_sep or i // m_sep not in n_sep:
                continue
            branch = self.reconstructor(encoded, self.splitter(mixed), max(n_re))
            for j, refined in enumerate(branch, start=1):
                if j % m_re == 0 and j // m_re in n_re:
                    yield i // m_sep, j // m_re, waves(refined)

    def _analysed(
        self, mixture: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The mixture's spectrum at unit deviation, and what makes waveforms of features."""
        if mixture.dim() != 2:
            raise ValueError(f"mixture of shape {tuple(mixture.shape)}: give (batch, samples)")
        scale = _deviation(mixture)
        spectrum = self.stft(mixture / scale, lengths)

        def waves(features: Tensor) -> Tensor:
            estimates = self.decoder(features, spectrum)
            return self.stft.inverse(estimates, mixture.shape[-1]) * scale.unsqueeze(-1)

        return spectrum, waves

    def _features(
        self, encoded: Tensor, depths: Sequence[Depth], n_sep: int | None
    ) -> Iterator[Tensor]:
        """Per-speaker features (batch, n_src, frames, bins, channels) at each of `depths`.

        A Sep depth passes the splitter on its own; the last one feeds the reconstructor.
        """
        passes = self.config.n_sep if n_sep is None else n_sep
        last_sep = self.config.m_sep * passes - 1
        for i, mixed in enumerate(self.separator(encoded, passes)):
            if i < last_sep and Depth("sep", i) in depths:
                yield self.splitter(mixed)
        features = self.splitter(mixed)
        if Depth("split", last_sep) in depths:
            yield features
        if self.reconstructor is None or depths[-1].stage != "re":
            return
        n_re = depths[-1].block // self.config.m_re + 1
        for i, refined in enumerate(self.reconstructor(encoded, features, n_re)):
            if Depth("re", i) in depths:
                yield refined


def tisdiss_parts(config: ModelConfig) -> Parts:
    """The five parts of TISDiSS; what a variant does not use is not built."""
    block = config.block
    encoder, decoder = build_codec(
        config.codec, channels=block.channels, mask=config.mask, eps=block.eps
    )
    residual = Residual(block.channels) if config.has_residual else None
    separator = Separator(
        blocks=config.m_sep,
        block=partial(dual_path, block),
        residual=residual if config.sep_residual else None,
    )
    splitter = _SPLITTERS[config.splitter](block.channels, n_src=config.n_src)
    if not config.m_re:
        return Parts(encoder, separator, splitter, decoder)
    reconstructor = Reconstructor(
        blocks=config.m_re,
        block=partial(triple_path, block),
        residual=residual if config.re_residual else None,
    )
    return Parts(encoder, separator, splitter, decoder, reconstructor)


def _deviation(mixture: Tensor) -> Tensor:
    """Standard deviation of each row, (batch, 1); 1 for a silent one."""
    scale = mixture.std(dim=-1, keepdim=True)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _initialise(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases; scales, slopes and band codecs keep their own."""
    convolutions = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d
    if isinstance(module, nn.Linear | nn.LSTM | convolutions):
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)


_SPLITTERS = {"swiglu": SwiGLUSplitter, "conv2d": ConvSplitter}
_PARTS = {
    "tisdiss": tisdiss_parts,
    "tf-locoformer": tf_locoformer_parts,
    "tf-gridnet": tf_gridnet_parts,
}
