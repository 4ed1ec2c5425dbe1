"""TF-Locoformer (Saijo et al., IWAENC 2024), the non-early-split baseline of Tables 1-3.

There is only a separator, without residual module and splitter; the decoder makes all sources from
one feature map. With the codec conv2d it is the published model. Its variants with shared
parameters or losses at every depth (Table 3) are settings: n_sep and the loss terms.
"""

from functools import partial

from tisdiss.codec import build_codec
from tisdiss.config import BlockConfig, CodecConfig, ModelConfig
from tisdiss.parts import Parts
from tisdiss.separator import Separator, dual_path
from tisdiss.splitter import NoSplit


def tf_locoformer_parts(config: ModelConfig) -> Parts:
    """The parts for `TISDiSS`, which runs them like its own."""
    encoder, decoder = build_codec(config)
    return Parts(
        encoder=encoder,
        separator=Separator(
            blocks=config.m_sep, block=partial(dual_path, config.block), residual=None
        ),
        splitter=NoSplit(),
        decoder=decoder,
    )


def tf_locoformer(size: str, **changes: object) -> ModelConfig:
    """A model of a published size: "s" (for WHAMR!, n_fft 256), "m" or "l" (n_fft 128)."""
    sizes = {
        "s": (4, BlockConfig(channels=96, ffn_hidden=(128, 128), ffn_kernel=8), 256),
        "m": (6, BlockConfig(), 128),
        "l": (9, BlockConfig(), 128),
    }
    if size not in sizes:
        raise ValueError(f"TF-Locoformer size {size!r}: choose from {', '.join(sizes)}")
    blocks, block, n_fft = sizes[size]
    base = ModelConfig.from_name(f"tf-locoformer-sep{blocks}x1-l1").model_dump()
    codec = CodecConfig(n_fft=n_fft).model_dump()
    return ModelConfig.model_validate(
        base | {"block": block.model_dump(), "codec": codec} | changes
    )
