"""Settings of a model: blocks, codec, passes through separator and reconstructor."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tisdiss.architectures import ARCHITECTURES, OURS, Architecture, groups_unused_by
from tisdiss.codec_kinds import CodecSize
from tisdiss.config.choice import OneOf
from tisdiss.config.codec import CodecConfig
from tisdiss.config.dotted import dotted
from tisdiss.config.numbers import (
    Blocks,
    Config,
    Guard,
    Kernel,
    OddKernel,
    Passes,
    Power,
    Width,
    later,
)
from tisdiss.depths import (
    Decode,
    Depth,
    LossTerm,
    re_depths,
    resolved,
    selected,
    sep_depths,
)
from tisdiss.limits import MAX_BLOCKS, MAX_PASSES
from tisdiss.paper_names import paper_name, read_name
from tisdiss.splitter_kinds import SPLITTER_KINDS


class BlockConfig(Config):
    """One Locoformer path; Sep-Blocks have two of them (time, frequency), Re-Blocks three.

    A TF-GridNet uses only `channels` and `eps`; its other settings are in `GridConfig`.
    """

    channels: Width = 128
    """D: feature channels."""
    attention_dim: Width = 128
    """Width of q, k and v over all heads."""
    n_heads: Width = 4
    norm: Literal["rmsgroupnorm", "layernorm"] = "rmsgroupnorm"
    norm_groups: Width = 4
    ffn_hidden: tuple[Width, ...] = (384, 384)
    """Hidden widths of the feed-forwards before and after the attention; one entry: after only."""
    ffn_kernel: Kernel = 4
    ffn_stride: Kernel = 1
    tf_order: Literal["ft", "tf"] = "ft"
    """Which path comes first: frequency ("ft") or time ("tf")."""
    eps: Guard = 1e-5
    """Epsilon of every normalisation in the network."""

    @model_validator(mode="after")
    def _widths_fit(self) -> "BlockConfig":
        if self.attention_dim % (2 * self.n_heads):
            raise ValueError(
                f"attention_dim={self.attention_dim} must be a multiple of twice n_heads="
                f"{self.n_heads}: rotary positions rotate channels in pairs"
            )
        if self.norm == "rmsgroupnorm" and self.channels % self.norm_groups:
            raise ValueError(
                f"channels={self.channels} must be a multiple of norm_groups={self.norm_groups}"
            )
        if len(self.ffn_hidden) not in (1, 2):
            raise ValueError(
                f"ffn_hidden={self.ffn_hidden}: give one width (after the attention) or two "
                "(before, after)"
            )
        if self.ffn_stride > self.ffn_kernel:
            raise ValueError(
                f"ffn_stride={self.ffn_stride} must not exceed ffn_kernel={self.ffn_kernel}"
            )
        return self


class GridConfig(Config):
    """One TF-GridNet block: LSTMs along bins and along frames, then attention over frames.

    Symbols of Wang et al., "TF-GridNet", TASLP 2023. The width D is `block.channels`, the number
    of blocks B is m_sep, and n_sep passes share them. The defaults are ESPnet's; its D is 48.
    """

    window: Kernel = 4
    """I: neighbouring positions that an LSTM takes in one step."""
    hop: Kernel = 1
    """J: positions from one step to the next."""
    hidden: Width = 192
    """H: LSTM units in each of the two directions."""
    n_heads: Width = 4
    """L: heads of the attention over frames."""
    qk_size: Width = 512
    """Least size of a frame's query or key per head: E = ceil(qk_size / F) for each of F bins."""
    version: Literal[1, 2] = 1
    """Version 1, as published, pads an axis at its end, version 2 at both ends by I - J. If I = J,
    version 2 maps the LSTM's output by a linear layer instead of a transposed convolution."""

    @model_validator(mode="after")
    def _windows_meet(self) -> "GridConfig":
        if self.hop > self.window:
            raise ValueError(
                f"hop={self.hop} must be at most window={self.window}: the LSTM would skip the "
                "positions in between"
            )
        return self

    @property
    def adjoining(self) -> bool:
        """Whether windows lie side by side and are joined by a linear layer."""
        return self.version == 2 and self.hop == self.window

    def padding(self, length: int) -> tuple[int, int]:
        """Numbers of zeros before and after an axis of this length, so that windows fill it."""
        edge = self.window - self.hop if self.version == 2 else 0
        hops = max(0, -(-(length + 2 * edge - self.window) // self.hop))
        return edge, self.window + hops * self.hop - length - edge


Layer = Literal["f-softmax", "f-linear", "t-softmax", "t-linear"]
"""The axis of a path, bins (f) or frames (t), and the kind of its attention."""


class FocusedConfig(Config):
    """The attentions of an FLA-TFLocoformer; all other sizes of its block are in `BlockConfig`.

    H. Wang et al., "FLASepformer", Interspeech 2025. The defaults are those of its published sizes,
    as far as they are known: their code, with the gate that their parameters tell.
    """

    layers: Annotated[tuple[Layer, ...], Field(max_length=MAX_BLOCKS)] = ()
    """The paths of one block, in order. Empty: softmax along bins and linear attention along
    frames, in the order of `block.tf_order`, which has no effect otherwise."""
    gated: bool = True
    """Whether a gate for each channel multiplies the linear attention's output."""
    power: Power = 3.0
    """p: how much the largest channels of a query or key outweigh the others."""
    kernel: OddKernel = 5
    """k: neighbouring values that the convolution in the linear attention sums; 0: none."""
    norm: Literal["layernorm", "rmsgroupnorm"] = "layernorm"
    """The two norms before linear attention and gate; their epsilon is always 1e-5."""
    norm_groups: Width = 4
    """Groups of these norms, if "rmsgroupnorm"."""
    rotary: bool = True
    """Whether softmax attention knows positions; linear attention never does."""

    def block_layers(self, tf_order: str) -> tuple[Layer, ...]:
        """The paths of one block."""
        usual: dict[str, Layer] = {"f": "f-softmax", "t": "t-linear"}
        return self.layers or tuple(usual[axis] for axis in tf_order)


class ModelConfig(Config):
    """A separation model; the defaults are TISDiSS-sep1x2-re1x3-l1+3 at the paper's size."""

    architecture: Annotated[str, OneOf(lambda: ARCHITECTURES)] = OURS
    n_src: Annotated[int, Field(ge=2, le=8)] = 2
    """J: speakers to separate."""
    m_sep: Blocks = 1
    """M_sep: Sep-Blocks in one pass of the separator."""
    n_sep: Passes = 2
    """N_sep: passes through the separator, sharing its parameters."""
    m_re: Annotated[int, Field(ge=0, le=MAX_BLOCKS)] = 1
    """M_re: Re-Blocks in one pass of the reconstructor; 0 means no early split."""
    n_re: Annotated[int, Field(ge=0, le=MAX_PASSES)] = 3
    """N_re: passes through the reconstructor in training; free at inference."""
    losses: tuple[LossTerm, ...] = ("last", "split", "re")
    """Which outputs are supervised besides the last one (Eq. 1)."""
    decode_sep: Decode = "auto"
    """Which Sep depths the `sep` term covers: the end of each pass ("repetitions"), every block
    ("layers"), or every block of the last pass ("last-layers"). "auto": every block if there is
    one pass, the ends of the passes otherwise, as in the paper's rows."""
    decode_re: Decode = "auto"
    splitter: Annotated[str, OneOf(lambda: SPLITTER_KINDS)] = "swiglu"
    mask: bool = False
    """Multiply the mixture's spectrum by the decoder's output instead of taking it directly.

    TIGER's decoder does so by itself."""
    sep_residual: bool = True
    """Add the encoder's features before every Sep-Block but the first."""
    re_residual: bool = False
    normalize_variance: bool = later(True)
    """Divide the mixture by its standard deviation first, and multiply the outputs by it."""
    block: BlockConfig = BlockConfig()
    grid: GridConfig = later(GridConfig())
    """The block of a TF-GridNet; other architectures do not use it."""
    focused: FocusedConfig = later(FocusedConfig())
    """The attentions of an FLA-TFLocoformer; other architectures do not use it."""
    codec: CodecConfig = CodecConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> "ModelConfig":
        if (self.m_re == 0) != (self.n_re == 0):
            raise ValueError(
                f"m_re={self.m_re}, n_re={self.n_re}: a model without early split has both at 0"
            )
        if "last" not in self.losses:
            raise ValueError(f"losses={list(self.losses)}: 'last' is always supervised; add it")
        if len(set(self.losses)) != len(self.losses):
            raise ValueError(f"losses={list(self.losses)}: name each term once")
        if not self.m_re and {"split", "re"} & set(self.losses):
            raise ValueError(
                f"losses={list(self.losses)}: 'split' and 're' need a reconstructor (m_re >= 1)"
            )
        if not self.has_splitter and (self.m_re or self.sep_residual):
            raise ValueError(
                f"{self.architecture} has no reconstructor and no residual module: set m_re=0, "
                "n_re=0, sep_residual=false"
            )
        channels, heads = self.block.channels, self.grid.n_heads
        if self.has_grid and channels % heads:
            raise ValueError(
                f"block.channels={channels} must be a multiple of grid.n_heads={heads}: the heads "
                "share the channels"
            )
        focused = self.focused
        if focused.norm == "rmsgroupnorm" and channels % focused.norm_groups:
            raise ValueError(
                f"block.channels={channels} must be a multiple of focused.norm_groups="
                f"{focused.norm_groups}"
            )
        return self

    @property
    def has_splitter(self) -> bool:
        """Whether features are split by speaker; the baselines decode all speakers from one map."""
        return self.entry.splits

    @property
    def codec_size(self) -> CodecSize:
        """What decides how much the codec holds and computes."""
        return CodecSize(
            channels=self.block.channels,
            n_src=self.n_src,
            bins=self.codec.bins,
            bands=self.codec.bands,
            expansion=self.codec.expansion,
            joint=not self.has_splitter,
        )

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.codec.sample_rate

    @property
    def rate_setting(self) -> str:
        """The dotted setting of the sample rate."""
        return "model.codec.sample_rate"

    @property
    def least_samples(self) -> int:
        """Samples that a mixture needs at least: a frame."""
        return self.codec.n_fft

    @property
    def dial(self) -> Sequence[int]:
        """The N_re that can be scored, ascending; empty without a reconstructor."""
        return range(1, MAX_PASSES + 1) if self.m_re else ()

    def with_n_sep(self, n_sep: int | None) -> "ModelConfig":
        """This model with another number of separator passes; None: its own."""
        return self.model_copy(update={"n_sep": n_sep or self.n_sep})

    def at_inference(self) -> "ModelConfig":
        """The model with default training settings: models of equal speed compare equal."""
        same = {"losses": ("last",), "decode_sep": "auto", "decode_re": "auto"}
        return self.model_copy(update=same | ({"n_re": 1} if self.m_re else {}))

    @property
    def has_grid(self) -> bool:
        """Whether its block is that of a TF-GridNet."""
        return self.entry.settings == "grid"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The paths of a block of an FLA-TFLocoformer, in order."""
        return self.focused.block_layers(self.block.tf_order)

    @property
    def entry(self) -> Architecture:
        """The entry of this architecture in the table."""
        return ARCHITECTURES[self.architecture]

    def decoded(self, n_sep: int | None = None, n_re: int | None = None) -> tuple[Depth, ...]:
        """Every depth that training supervises, in the order of execution, the last output last.

        Sec. 2.2; the separator's final depth is the split term, or without early split the output
        itself.
        """
        n_sep, n_re = self.check_depth(n_sep, n_re)
        sep = sep_depths(self.m_sep, n_sep)
        split = Depth("split", n_sep, 0, sep[-1].block)
        depths: list[Depth] = []
        if "sep" in self.losses:
            depths += selected(sep, resolved(self.decode_sep, self.n_sep), self.m_sep)[:-1]
        if not self.m_re:
            return (*depths, split)
        if "split" in self.losses:
            depths.append(split)
        re = re_depths(self.m_re, n_sep, n_re)
        if "re" in self.losses:
            depths += selected(re, resolved(self.decode_re, self.n_re), self.m_re)[:-1]
        return (*depths, re[-1])

    def check_depth(self, n_sep: int | None, n_re: int | None) -> tuple[int, int]:
        """(n_sep, n_re) with the trained depth for None; ValueError for a depth it cannot run."""
        n_sep = self.n_sep if n_sep is None else n_sep
        n_re = self.n_re if n_re is None else n_re
        if n_sep < 1:
            raise ValueError(f"n_sep={n_sep}: the separator runs at least once; pass n_sep >= 1.")
        if max(n_sep, n_re) > MAX_PASSES:
            raise ValueError(f"n_sep={n_sep}, n_re={n_re}: at most {MAX_PASSES} passes are run.")
        if self.m_re and n_re < 1:
            raise ValueError(f"n_re={n_re}: the reconstructor runs at least once; pass n_re >= 1.")
        if not self.m_re and n_re:
            raise ValueError(
                f"n_re={n_re}: {self.name} has no reconstructor to repeat; its depth is n_sep."
            )
        return n_sep, n_re

    @property
    def has_residual(self) -> bool:
        """Whether the model uses a residual module; separator and reconstructor share one."""
        repeats = self.m_sep * self.n_sep > 1
        return (self.sep_residual and repeats) or (self.re_residual and self.m_re > 0)

    def check_fine_tune(self, parent: Config) -> None:
        """Refuse a parent with other weights; passes and losses may differ, as they have none."""
        if not isinstance(parent, ModelConfig):
            raise ValueError(f"{self.name} cannot start from another architecture: train it anew")
        free = {"n_sep": 0, "n_re": 0, "losses": (), "decode_sep": "auto", "decode_re": "auto"}
        ours, theirs = (
            dict(dotted(model.model_dump() | free, "model.")) for model in (self, parent)
        )
        diffs = [f"{k} ({theirs[k]} there, {ours[k]} here)" for k in ours if ours[k] != theirs[k]]
        if diffs:
            raise ValueError(
                f"{self.name} cannot start from {parent.name}: they differ in {', '.join(diffs)}; "
                "only passes and losses may change in a fine-tune, so train it from scratch"
            )
        if self.has_residual != parent.has_residual:
            raise ValueError(
                f"{self.name} cannot start from {parent.name}: one pass of one Sep-Block has "
                "no residual module, and more passes need one; train it from scratch"
            )

    @property
    def name(self) -> str:
        """The paper's name, such as "sep1x2-re1x3-l1+3"."""
        return paper_name(self, self.codec.kind)

    @classmethod
    def from_name(cls, name: str, base: "ModelConfig | None" = None) -> "ModelConfig":
        """The model that a paper name means; settings that it does not state are from `base`."""
        return (base or cls()).renamed(name)

    def renamed(self, name: str) -> "ModelConfig":
        """This model with the structure that `name` states and everything else unchanged.

        Only groups that the named architecture does not use, such as `grid`, return to defaults.
        """
        stated = read_name(name)
        update = {key: value for key, value in vars(stated).items() if value is not None}
        entry = ARCHITECTURES[stated.architecture]
        update["sep_residual"] = entry.splits and (self.sep_residual or not self.has_splitter)
        update |= {
            group: ModelConfig.model_fields[group].default for group in groups_unused_by(entry)
        }
        if kind := update.pop("codec_kind", None):
            update["codec"] = self.codec.model_dump() | {"kind": kind}
        return ModelConfig.model_validate(self.model_dump() | update)
