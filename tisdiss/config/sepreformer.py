"""SepReformer's settings: a waveform codec, a U-shaped separator, and a split at every scale.

Kept apart from `ModelConfig`, since nothing of its structure is shared: the model takes waveforms
and its depth is the number of decoder stages that run. No torch here.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tisdiss.config.numbers import Config, Guard, Kernel, Rate, Width
from tisdiss.config.sepreformer_loss import SepReformerLossConfig
from tisdiss.contract import WHOLE_MODELS
from tisdiss.limits import MAX_WIDTH

DOWN_PAIRS = 2
"""Global and local blocks of a stage down and of the bottleneck."""
UP_TRIPLES = 3
"""Global, local and speaker blocks of a stage up."""
FFN_WIDTH = 6
"""Hidden width of a feed-forward in units of F, before its gate halves it."""
FFN_KERNEL = 3

Stages = Annotated[int, Field(ge=1, le=10)]
Share = Annotated[float, Field(ge=0, lt=1)]


class SepReformerConfig(Config):
    """SepReformer as released; the defaults are its Base model for WSJ0-2mix."""

    n_src: Annotated[int, Field(ge=2, le=8)] = 2
    """J: speakers to separate."""
    encoder_channels: Width = 256
    """N: channels of the waveform encoder and decoder."""
    kernel: Kernel = 16
    """Samples that the encoder sees at a time."""
    stride: Kernel = 4
    """Samples from one frame of the encoder to the next."""
    channels: Width = 128
    """F: feature channels."""
    stages: Stages = 4
    """R: stages of the separation encoder, which halve the frames, and of the reconstruction
    decoder, which double them again."""
    n_heads: Width = 8
    """h: heads of every attention."""
    local_kernel: Kernel = 65
    """Frames that the convolution of a local block sees."""
    down_kernel: Kernel = 5
    """Frames that the convolution of a down-sampling sees."""
    max_offset: Annotated[int, Field(ge=1, le=MAX_WIDTH)] = 2000
    """M: attention knows frames apart up to so many; further ones count as that far."""
    splitter: Literal["shared", "separate"] = "shared"
    """"shared": one splitter serves all R + 1 scales; "separate": each scale has its own."""
    dropout: Share = 0.05
    norm_eps: Guard = 1e-8
    """Guard of the norms over channels and time; all others have 1e-5."""
    scale_init: Annotated[float, Field(ge=0, le=1)] = 1e-5
    """LayerScale: what every residual branch is multiplied by at first."""
    sample_rate: Rate = 8000
    """Hz."""
    loss: SepReformerLossConfig = SepReformerLossConfig()

    @model_validator(mode="after")
    def _sizes_fit(self) -> "SepReformerConfig":
        if self.channels % self.n_heads:
            raise ValueError(
                f"channels={self.channels} must be a multiple of n_heads={self.n_heads}"
            )
        if self.stride > self.kernel:
            raise ValueError(
                f"stride={self.stride} must be at most kernel={self.kernel}: samples in between "
                "would not be seen"
            )
        for name, size in (("local_kernel", self.local_kernel), ("down_kernel", self.down_kernel)):
            if size % 2 == 0:
                raise ValueError(f"{name}={size} must be odd: a frame is in its middle")
        return self

    @property
    def head_width(self) -> int:
        """d: channels of one head."""
        return self.channels // self.n_heads

    @property
    def splitters(self) -> int:
        """How many splitters have weights of their own."""
        return 1 if self.splitter == "shared" else self.stages + 1

    @property
    def depths(self) -> range:
        """How many decoder stages may run before an output: 0 to R, where R is the main output."""
        return range(self.stages + 1)

    def samples_padded(self, samples: int) -> int:
        """Samples with the zeros that make whole frames of them; at least one frame."""
        beyond = max(0, samples - self.kernel)
        return self.kernel + -(-beyond // self.stride) * self.stride

    def frames(self, samples: int) -> int:
        """T_e: frames of the encoder."""
        return (self.samples_padded(samples) - self.kernel) // self.stride + 1

    def frames_padded(self, samples: int) -> int:
        """T: frames with the zeros that let them be halved R times."""
        whole = 2**self.stages
        return -(-self.frames(samples) // whole) * whole


def sepreformer(size: str, **changes: object) -> SepReformerConfig:
    """The released sizes: "base" (14.1 M parameters) and "large" (59.4 M with separate splitters).

    "large" has separate splitters, as released for WHAM! and as the published count says; for
    WSJ0-2mix and WHAMR! it was released with a shared one (55.2 M): `splitter="shared"`.
    """
    sizes = WHOLE_MODELS["sepreformer"].variants
    if size not in sizes:
        raise ValueError(f"SepReformer size {size!r}: there are {', '.join(sizes)}")
    return SepReformerConfig.model_validate({**sizes[size], **changes})
