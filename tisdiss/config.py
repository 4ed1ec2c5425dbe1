"""What a model, a training and an evaluation are: frozen settings, each with its paper symbol.

`ModelConfig` reads and prints the paper's names: "sep1x2-re1x3-l1+3" (Sec. 3.1). Nothing here
imports torch, so that planning and `--help` stay instant.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from tisdiss.limits import (
    MAX_AVERAGED,
    MAX_BATCH,
    MAX_BLOCKS,
    MAX_COUNT,
    MAX_FFT,
    MAX_FINITE,
    MAX_KERNEL,
    MAX_PASSES,
    MAX_RATE,
    MAX_ROOMS,
    MAX_SAMPLES,
    MAX_SECONDS,
    MAX_SEED,
    MAX_WIDTH,
    MIN_RATE,
)


def check_seed(seed: int) -> int:
    """The seed, where it is one; ValueError otherwise."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(
            f"{seed}: a seed is from 0 to {MAX_SEED}, for generators keep 32 bits: a longer one "
            "would give the very weights of a shorter one"
        )
    return seed


# What a number may be: every one that decides how much is computed or kept has an end.
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Passes = Annotated[int, Field(ge=1, le=MAX_PASSES)]
Blocks = Annotated[int, Field(ge=1, le=MAX_BLOCKS)]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Kernel = Annotated[int, Field(ge=1, le=MAX_KERNEL)]
Rate = Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE)]
Length = Annotated[float, Field(ge=0.01, le=MAX_SECONDS)]
Guard = Annotated[float, Field(gt=0, le=1)]
Decibels = Annotated[float, Field(ge=-100, le=100)]
T60 = Annotated[float, Field(ge=0.05, le=1.5)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[
    int,
    AfterValidator(check_seed),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_SEED}),
]
Architecture = Literal["tisdiss", "tf-locoformer", "tf-gridnet"]
LossTerm = Literal["last", "sep", "split", "re"]
Decode = Literal["auto", "repetitions", "layers", "last-layers"]
Condition = Literal["clean", "noisy", "reverberant", "noisy-reverberant"]


class Config(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _later(value: Any) -> Any:
    """A field that was added after runs existed, with the value that all of those had."""
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(value, BaseModel):
        plain = value.model_dump(mode="json")
    return Field(default=value, json_schema_extra={"since": plain})


class Depth(NamedTuple):
    """A place in the network whose features can be decoded: after block `block` of `stage`."""

    stage: Literal["sep", "split", "re"]
    block: int


class BlockConfig(Config):
    """One Locoformer path; Sep-Blocks have two of them (time, frequency), Re-Blocks three.

    Of a TF-GridNet these are only `channels` and `eps`; the rest is in `GridConfig`.
    """

    channels: Width = 128
    """D: feature channels."""
    attention_dim: Width = 128
    """Width of q, k and v over all heads."""
    n_heads: Width = 4
    norm: Literal["rmsgroupnorm", "layernorm"] = "rmsgroupnorm"
    norm_groups: Width = 4
    ffn_hidden: tuple[Width, ...] = (384, 384)
    """Hidden width of the feed-forward before and after the attention; one entry: after only."""
    ffn_kernel: Kernel = 4
    ffn_stride: Kernel = 1
    tf_order: Literal["ft", "tf"] = "ft"
    """Which path comes first: frequency ("ft") or time ("tf")."""
    eps: Guard = 1e-5
    """Guard of every normalisation in the network."""

    @model_validator(mode="after")
    def _widths_fit(self) -> "BlockConfig":
        if self.attention_dim % (2 * self.n_heads):
            raise ValueError(
                f"attention_dim={self.attention_dim} must be a multiple of twice n_heads="
                f"{self.n_heads}: rotary positions turn channels in pairs"
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
    """I: neighbouring positions that an LSTM sees in one step."""
    hop: Kernel = 1
    """J: positions from one step to the next."""
    hidden: Width = 192
    """H: LSTM units in each of the two directions."""
    n_heads: Width = 4
    """L: heads of the attention over frames."""
    qk_size: Width = 512
    """Numbers in a frame's query or key, at least: E = ceil(qk_size / F) for each of F bins."""
    version: Literal[1, 2] = 1
    """1, as published, pads an axis at its end, 2 at both ends by I - J; where I = J, 2 maps what
    the LSTM gives by a linear layer instead of a transposed convolution."""

    @model_validator(mode="after")
    def _windows_meet(self) -> "GridConfig":
        if self.hop > self.window:
            raise ValueError(
                f"hop={self.hop} must be at most window={self.window}: positions in between would "
                "not be seen"
            )
        return self

    @property
    def adjoining(self) -> bool:
        """Whether windows lie side by side and are joined by a linear layer."""
        return self.version == 2 and self.hop == self.window

    def padding(self, length: int) -> tuple[int, int]:
        """Zeros before and after an axis of bins or frames, so that windows fill it."""
        edge = self.window - self.hop if self.version == 2 else 0
        hops = max(0, -(-(length + 2 * edge - self.window) // self.hop))
        return edge, self.window + hops * self.hop - length - edge


class CodecConfig(Config):
    """Waveform to features and back: the STFT grid and the layers next to it."""

    kind: Literal["conv2d", "mel-linear", "mel-conv1d", "bands-linear", "bands-conv1d", "tiger"] = (
        "conv2d"
    )
    n_fft: Annotated[int, Field(ge=8, le=MAX_FFT, multiple_of=2)] = 128
    hop: Width = 64
    sample_rate: Rate = 8000
    """Hz. The mel layout depends on it; audio at another rate is resampled before the model."""
    n_bands: Width = 32
    """Bands of the mel layout; the others follow from n_fft."""
    expansion: Blocks = 4
    """Hidden width of the linear band decoders, in units of D."""

    @model_validator(mode="after")
    def _frames_overlap(self) -> "CodecConfig":
        if 2 * self.hop > self.n_fft:
            raise ValueError(f"hop={self.hop} must be at most half of n_fft={self.n_fft}")
        return self

    @property
    def bins(self) -> int:
        """F: one-sided STFT bins."""
        return self.n_fft // 2 + 1


class ModelConfig(Config):
    """A separation model; the defaults are TISDiSS-sep1x2-re1x3-l1+3 at the paper's size."""

    architecture: Architecture = "tisdiss"
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
    splitter: Literal["swiglu", "conv2d"] = "swiglu"
    mask: bool = False
    """Multiply the mixture's spectrum by the decoder's output instead of taking it directly."""
    sep_residual: bool = True
    """Add the encoder's features before every Sep-Block but the first."""
    re_residual: bool = False
    block: BlockConfig = BlockConfig()
    grid: GridConfig = _later(GridConfig())
    """The block of a TF-GridNet; other architectures have none."""
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
        if not self.has_splitter and (
            self.m_re or self.sep_residual or self.codec.kind != "conv2d" or self.mask
        ):
            raise ValueError(
                f"{self.architecture} has no reconstructor, no residual module, no mask and the "
                "conv2d codec: set m_re=0, n_re=0, sep_residual=false, mask=false, "
                "codec.kind=conv2d"
            )
        channels, heads = self.block.channels, self.grid.n_heads
        if self.architecture == "tf-gridnet" and channels % heads:
            raise ValueError(
                f"block.channels={channels} must be a multiple of grid.n_heads={heads}: the heads "
                "share the channels"
            )
        return self

    @property
    def has_splitter(self) -> bool:
        """Whether features are split by speaker; the baselines decode all out of one map."""
        return self.architecture == "tisdiss"

    def decoded(self, n_sep: int | None = None, n_re: int | None = None) -> tuple[Depth, ...]:
        """Every depth that training supervises, in the order of execution, the last output last.

        Sec. 2.2; the separator's final depth is the split term, or the output itself when there
        is no early split.
        """
        n_sep, n_re = self.check_depth(n_sep, n_re)
        sep = _side(self.m_sep, n_sep, _resolve(self.decode_sep, self.n_sep))
        depths = [Depth("sep", i) for i in sep[:-1] if "sep" in self.losses]
        last_sep = self.m_sep * n_sep - 1
        if not self.m_re:
            return (*depths, Depth("split", last_sep))
        if "split" in self.losses:
            depths.append(Depth("split", last_sep))
        re_side = _side(self.m_re, n_re, _resolve(self.decode_re, self.n_re))
        depths += [Depth("re", i) for i in re_side[:-1] if "re" in self.losses]
        return (*depths, Depth("re", self.m_re * n_re - 1))

    def check_depth(self, n_sep: int | None, n_re: int | None) -> tuple[int, int]:
        """The depth to run at, the trained one where None is given."""
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
        """Whether anything repeats that a residual module leads into; one serves both sides."""
        repeats = self.m_sep * self.n_sep > 1
        return (self.sep_residual and repeats) or (self.re_residual and self.m_re > 0)

    def check_fine_tune(self, parent: "ModelConfig") -> None:
        """Refuse to start from a parent that has other weights: passes and losses have none."""
        free = {"n_sep": 0, "n_re": 0, "losses": (), "decode_sep": "auto", "decode_re": "auto"}
        ours, theirs = (
            dict(_leaves(model.model_dump() | free, "model.")) for model in (self, parent)
        )
        differ = [f"{k} ({theirs[k]} there, {ours[k]} here)" for k in ours if ours[k] != theirs[k]]
        if differ:
            raise ValueError(
                f"{self.name} cannot start from {parent.name}: they differ in {', '.join(differ)}; "
                "only passes and losses may change in a fine-tune, so train it from scratch"
            )
        if self.has_residual != parent.has_residual:
            raise ValueError(
                f"{self.name} cannot start from {parent.name}: where one Sep-Block runs once there "
                "is no residual module, and more passes need one; train it from scratch"
            )

    @property
    def name(self) -> str:
        """The paper's name, such as "sep1x2-re1x3-l1+3"."""
        prefix = "" if self.architecture == "tisdiss" else f"{self.architecture}-"
        re_part = f"-re{self.m_re}x{self.n_re}" if self.m_re else ""
        return f"{prefix}sep{self.m_sep}x{self.n_sep}{re_part}-{self._loss_label()}{self._suffix()}"

    def _loss_label(self) -> str:
        """How many outputs are supervised: before the "+" up to the splitter's, then the rest."""
        decode = _resolve(self.decode_sep, self.n_sep)
        ends = len(_side(self.m_sep, self.n_sep, decode)) if "sep" in self.losses else 1
        last_only = decode == "last-layers" and self.n_sep > 1
        if not self.m_re:
            passes = 1 if last_only else self.n_sep
            return f"l{ends // passes}x{passes}" if "sep" in self.losses else "l1"
        if "split" not in self.losses:  # the paper has no name for "sep" without "split"
            head = f"{ends - 1}sep+" if ends > 1 else ""
        elif ends == 1:
            head = "1+"
        else:
            head = f"{ends}x1+" if last_only else f"1x{ends}+"
        return f"l{head}{self._re_label()}"

    def _re_label(self) -> str:
        decode = _resolve(self.decode_re, self.n_re)
        ends = len(_side(self.m_re, self.n_re, decode)) if "re" in self.losses else 1
        if decode == "last-layers" and self.n_re > 1 and ends > 1:
            return f"{ends}x1"
        by_pass = "re" in self.losses and self.m_re > 1 and ends == self.n_re
        return f"1x{ends}" if by_pass else str(ends)

    def _suffix(self) -> str:
        splitter = "-spksplitconv2d" if self.splitter == "conv2d" else ""
        return splitter + _CODEC_SUFFIX[self.codec.kind]

    @classmethod
    def from_name(cls, name: str, base: "ModelConfig | None" = None) -> "ModelConfig":
        """The model that a paper name means; what the name does not say is taken from `base`."""
        return (base or cls()).renamed(name)

    def renamed(self, name: str) -> "ModelConfig":
        """This model with the structure that `name` states and everything else unchanged.

        But for what only a TF-GridNet has, which other models keep at its default.
        """
        match = _NAME.fullmatch(name.strip().replace("×", "x").lower())
        if match is None:
            raise ValueError(
                f"{name[:60]!r} is not a model name; one looks like sep1x2-re1x3-l1+3, "
                "sep6x1-l6x1, tf-locoformer-sep3x2-l1x2 or tf-gridnet-sep6x1-l1, with an optional "
                "-spksplitconv2d, -bandsplit or -melbandsplit"
            )
        part = match.groupdict()
        architecture = part["architecture"] or "tisdiss"
        baseline = architecture != "tisdiss"
        update: dict[str, object] = {
            "architecture": architecture,
            "m_sep": int(part["m_sep"]),
            "n_sep": int(part["n_sep"]),
            "m_re": int(part["m_re"] or 0),
            "n_re": int(part["n_re"] or 0),
            "sep_residual": not baseline and (self.sep_residual or not self.has_splitter),
            "splitter": "conv2d" if "-spksplitconv2d" in part["suffix"] else self.splitter,
        }
        if architecture != "tf-gridnet":
            update["grid"] = GridConfig()
        update |= _read_losses(name, part["losses"], update)
        kinds = [kind for kind, text in _CODEC_SUFFIX.items() if text and text in part["suffix"]]
        if kinds:
            longest = max(kinds, key=lambda kind: len(_CODEC_SUFFIX[kind]))
            update["codec"] = self.codec.model_dump() | {"kind": longest}
        return ModelConfig.model_validate(self.model_dump() | update)


_CODEC_SUFFIX = {
    "conv2d": "",
    "mel-linear": "-melbandsplit",
    "mel-conv1d": "-melbandsplit-conv1d",
    "tiger": "-bandsplit",
    "bands-linear": "-bandsplit-linear",
    "bands-conv1d": "-bandsplit-conv1d",
}

_POSITIVE = r"[1-9]\d{0,5}"
_LABEL = r"\d{1,6}(?:x\d{1,6})?"
_NAME = re.compile(
    rf"(?:(?P<architecture>{'|'.join(get_args(Architecture))})-)?"
    rf"sep(?P<m_sep>{_POSITIVE})x(?P<n_sep>{_POSITIVE})"
    rf"(?:-re(?P<m_re>{_POSITIVE})x(?P<n_re>{_POSITIVE}))?"
    rf"(?:-l(?P<losses>{_LABEL}(?:\+{_LABEL})?))?"
    r"(?P<suffix>(?:-spksplitconv2d)?(?:-(?:mel)?bandsplit(?:-conv1d|-linear)?)?)"
)


def _leaves(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted name, as a study sets them."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _resolve(decode: Decode, passes: int) -> Decode:
    if decode != "auto":
        return decode
    return "layers" if passes == 1 else "repetitions"


def _side(blocks: int, passes: int, decode: Decode) -> list[int]:
    """Block indices that `decode` selects, always ending with the last one."""
    last = blocks * passes - 1
    match decode:
        case "layers":
            return list(range(last + 1))
        case "last-layers":
            return list(range((passes - 1) * blocks, last + 1))
    return list(range(blocks - 1, last + 1, blocks))


def _read_losses(name: str, label: str | None, shape: dict) -> dict[str, object]:
    """Loss terms and decoding from "1", "3", "1+3", "1x2+3", "6x1" (Sec. 3.1, Table 3)."""
    if label is None:
        default = ("last", "split", "re") if shape["m_re"] else ("last",)
        return {"losses": default, "decode_sep": "auto", "decode_re": "auto"}
    if not shape["m_re"]:
        if label == "1":
            return {"losses": ("last",), "decode_sep": "auto", "decode_re": "auto"}
        decode = _read_side(name, label, shape["m_sep"], shape["n_sep"], "separator")
        return {"losses": ("last", "sep"), "decode_sep": decode, "decode_re": "auto"}
    front, _, back = label.rpartition("+")
    update: dict[str, object] = {"decode_sep": "auto", "decode_re": "auto"}
    terms: tuple[str, ...] = ("last",)
    if front:
        terms += ("split",)
    if front not in ("", "1"):
        count = front.split("x")[1] if front.startswith("1x") else front
        update["decode_sep"] = _read_side(name, count, shape["m_sep"], shape["n_sep"], "separator")
        terms += ("sep",)
    if back != "1" or (shape["m_re"] * shape["n_re"] == 1 and front):
        update["decode_re"] = _read_side(name, back, shape["m_re"], shape["n_re"], "reconstructor")
        terms += ("re",)
    return update | {"losses": terms}


def _read_side(name: str, label: str, blocks: int, passes: int, part: str) -> Decode:
    """Which decoding a count such as "3", "1x3" or "6x1" states for `blocks` x `passes`."""
    per_pass, _, times = label.partition("x")
    decoded = int(per_pass) * int(times) if times else int(per_pass)
    if decoded == blocks * passes and (not times or int(times) == passes):
        return "auto" if blocks == 1 or passes == 1 else "layers"
    if decoded == passes and (not times or int(per_pass) == 1):
        return "auto" if passes > 1 else "repetitions"
    if times == "1" and decoded == blocks:
        return "last-layers"
    counts = {passes: "the end of each pass", blocks * passes: "every block"}
    ways = " or ".join(f"{count} ({what})" for count, what in counts.items())
    raise ValueError(
        f"{name!r}: 'l{label}' does not fit the {part} of {blocks} x {passes} (blocks x passes), "
        f"where {ways} can be decoded"
    )


class LossConfig(Config):
    """How the supervised outputs are averaged into one number (Eq. 1)."""

    average: Literal["flat", "eq1"] = "flat"
    """"flat": the plain mean over all decoded outputs, as the released code trains. "eq1": the
    paper's Eq. 1, where each term is first averaged over its own depths."""
    weights: dict[LossTerm, Annotated[float, Field(ge=0, le=MAX_FINITE)]] = {}
    """λ of each term; 1 where nothing is given."""
    clamp: float = Field(default=1e-7, ge=0, lt=0.5)
    """The squared correlation is held in [clamp, 1 - clamp]: 1e-7 bounds the loss at 70 dB."""


class OptimConfig(Config):
    """AdamW, warm-up, plateau halving and early stop (Sec. 3.1)."""

    lr: Annotated[float, Field(gt=0, le=MAX_FINITE)] = 1e-3
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: Guard = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=MAX_FINITE)] = 1e-2
    clip_norm: Annotated[float, Field(gt=0, le=MAX_FINITE)] = 5.0
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 2000
    first_step: Literal["warm", "full"] = "warm"
    """"full": the first update runs at the full rate and the ramp starts after it, as the released
    code does; "warm": the ramp starts with the first update, as the paper says."""
    plateau_factor: float = Field(default=0.5, gt=0, le=1)
    plateau_patience: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 3
    """Halve when more than this many epochs in a row did not improve."""
    plateau_threshold: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Relative improvement that counts. Validation losses are negative decibels, for which the
    released rule `loss < best * (1 - threshold)` also accepts slightly worse values; kept."""
    early_stop: Count = 10
    """Stop when the best epoch lies more than this many epochs back."""


class DataConfig(Config):
    """Which mixtures a model is trained and tested on."""

    source: Literal[
        "folder", "prompts", "synthetic", "librispeech", "wsj0-2mix", "libri2mix", "whamr"
    ] = "folder"
    """The last three are stored corpora: gains, seconds and noise are theirs, and the numbers of
    mixtures say how many are used at most."""
    sample_rate: Rate = 8000
    gain_db: Annotated[Decibels, Field(ge=0)] = 2.5
    """Each pair is mixed at gains (g, -g) dB with g uniform in ±gain_db, as in WSJ0-mix."""
    segment_seconds: Length = 4.0
    """Length of a training crop."""
    min_seconds: Length = 1.0
    """Shorter utterances are not used for validation and test mixtures."""
    max_seconds: Length | None = None
    """Validation and test mixtures are cut to this length."""
    dynamic: bool = False
    """Draw new pairs, gains and offsets for every training example (dynamic mixing)."""
    train_mixtures: Count = 20000
    val_mixtures: Count = 5000
    test_mixtures: Count = 3000
    seed: Seed = 0
    """Fixes the mixtures; the training seed does not change them."""
    condition: Condition | None = _later(None)
    """What is heard beside the clean speech; the references stay clean and anechoic. None: what
    the corpus is for (noisy and reverberant in WHAMR!, clean elsewhere)."""
    noise: Literal["mixed", "speech-shaped", "babble", "folder"] = _later("mixed")
    """Which noise; "mixed": speech-shaped or babble, "folder": recordings (environment NOISE)."""
    snr_db: tuple[Decibels, Decibels] = _later((-6.0, 3.0))
    """Range of the loudest clean source's active level over the noise, as in WHAM!."""
    t60_seconds: tuple[T60, T60] = _later((0.1, 1.0))
    """Range of the reverberation time of the simulated rooms, as in WHAMR!."""
    rooms: Annotated[int, Field(ge=1, le=MAX_ROOMS)] = _later(200)
    """How many rooms training mixtures are heard in; validation and test have a quarter each."""
    train_set: Literal["train-360", "train-100"] = _later("train-360")
    """Training part of Libri2Mix."""
    speed: Annotated[float, Field(ge=0, le=0.3, json_schema_extra={"since": 0.0})] = 0.0
    """Each source of a dynamic mixture is played faster or slower by up to this share, and higher
    or lower with it: more voices out of few. No part of the paper's recipe."""

    @model_validator(mode="after")
    def _speed_is_dynamic(self) -> "DataConfig":
        stored = self.source in ("wsj0-2mix", "libri2mix", "whamr")
        if self.speed and (stored or not self.dynamic):
            raise ValueError(
                f"speed={self.speed:g}: only dynamic mixing of single recordings changes the "
                "speed; set dynamic: true, or speed: 0"
            )
        return self

    @model_validator(mode="after")
    def _ranges_rise(self) -> "DataConfig":
        for name in ("snr_db", "t60_seconds"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}=({low:g}, {high:g}): give (least, most)")
        return self

    @model_validator(mode="after")
    def _rooms_fit(self) -> "DataConfig":
        samples = self.rooms * self.t60_seconds[1] * self.sample_rate
        if samples > MAX_SAMPLES:
            raise ValueError(
                f"rooms={self.rooms}: their responses would be {samples:.1e} samples; at most "
                f"{MAX_SAMPLES:.1e} are kept, so set fewer rooms or a smaller t60_seconds"
            )
        return self


class TrainConfig(Config):
    """Everything that decides the weights of a run; its resolved form is the run's identity."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    data: DataConfig = DataConfig()
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 6
    epochs: Count = 150
    steps_per_epoch: Count | None = None
    """None: one pass over the training mixtures."""
    average_best: Annotated[int, Field(ge=1, le=MAX_AVERAGED)] = 5
    """The final model is the mean of this many checkpoints with the lowest validation loss."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """"tf32" lets a GPU round the inputs of matrix products to 10 bits; without effect on a CPU.
    "bf16" has the products of paths and splitter in bfloat16 (7 bits) and the others as "tf32";
    weights, norms, codec, STFT and loss stay in float32. TF-GridNet, whose LSTMs are no products
    of their own, has no "bf16"."""
    seed: Seed = 0
    parent: str | None = None
    """Identity of the run whose weights start this one (fine-tuning, Sec. 2.3)."""

    @model_validator(mode="after")
    def _batch_fits(self) -> "TrainConfig":
        samples = self.batch_size * self.data.segment_seconds * self.data.sample_rate
        if samples > MAX_SAMPLES:
            raise ValueError(
                f"batch_size={self.batch_size} crops of {self.data.segment_seconds:g} s are "
                f"{samples:.1e} samples; a batch holds at most {MAX_SAMPLES:.1e}"
            )
        return self

    @model_validator(mode="after")
    def _precision_exists(self) -> "TrainConfig":
        if self.precision == "bf16" and self.model.architecture == "tf-gridnet":
            raise ValueError(
                "precision=bf16: the LSTMs of tf-gridnet run in float32; set tf32 or float32"
            )
        return self


class EvalConfig(Config):
    """Which depths are scored on which mixtures; never a reason to train."""

    n_re: Annotated[tuple[Passes, ...], Field(max_length=MAX_PASSES)] = tuple(range(1, 11))
    """None for a model without early split, which has one depth."""
    n_sep: Passes | None = None
    split: Literal["test", "val"] = "test"
    mixtures: Count | None = None
    """Only the first so many mixtures of the split."""
