"""What a model, a training and an evaluation are: frozen settings, each with its paper symbol.

`paper_names.py` reads and prints the paper's names, "sep1x2-re1x3-l1+3"; `depths.py` says which
outputs there are. Nothing here imports torch, so that planning and `--help` stay instant.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
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
from tisdiss.paper_names import (
    Architecture,
    CodecKind,
    SplitterKind,
    paper_name,
    read_name,
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

    kind: CodecKind = "conv2d"
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
    splitter: SplitterKind = "swiglu"
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
        return paper_name(self, self.codec.kind)

    @classmethod
    def from_name(cls, name: str, base: "ModelConfig | None" = None) -> "ModelConfig":
        """The model that a paper name means; what the name does not say is taken from `base`."""
        return (base or cls()).renamed(name)

    def renamed(self, name: str) -> "ModelConfig":
        """This model with the structure that `name` states and everything else unchanged.

        But for what only a TF-GridNet has, which other models keep at its default.
        """
        update = read_name(name)
        baseline = update["architecture"] != "tisdiss"
        update["sep_residual"] = not baseline and (self.sep_residual or not self.has_splitter)
        if update["architecture"] != "tf-gridnet":
            update["grid"] = GridConfig()
        if kind := update.pop("codec_kind", None):
            update["codec"] = self.codec.model_dump() | {"kind": kind}
        return ModelConfig.model_validate(self.model_dump() | update)


def _leaves(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted name, as a study sets them."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
    """AdamW, warm-up, plateau halving and early stop (Sec. 3.1), and levers that are not the
    paper's: Muon, other schedules, averaged weights."""

    kind: Literal["adamw", "muon"] = _later("adamw")
    """"muon": Muon for the weights of products and convolutions between encoder and decoder, AdamW
    for all others (Jordan et al., "Muon", 2024)."""
    muon_lr: Annotated[float, Field(gt=0, le=MAX_FINITE)] = _later(0.02)
    """Rate of Muon, moved by the schedule as `lr` is, which stays that of AdamW."""
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
    schedule: Literal["plateau", "constant", "decay"] = _later("plateau")
    """What follows the warm-up. "plateau": halving and early stop; "constant": the full rate to the
    end; "decay": the full rate, then linearly to zero (Hu et al., "MiniCPM", 2024, call it
    warm-up-stable-decay; Hägele et al., "Scaling laws and compute-optimal training beyond fixed
    training durations", 2024). The last two go on to the last epoch."""
    decay_share: Annotated[float, Field(gt=0, le=1)] = _later(0.3)
    """Share of all updates over which the rate falls to zero."""
    ema: Momentum = _later(0.0)
    """Validated and kept is an exponential moving average of the weights, of which each update
    keeps this share (Polyak and Juditsky, 1992, average alike); 0: the weights themselves. With
    `average_best` at 1 the result is one such average."""


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
    pairs: Literal["any", "different-sexes"] = _later("any")
    """"different-sexes": each dynamic mixture has a woman and a man, who are easier to tell apart;
    speakers of unknown sex are not heard. Validation and test mixtures stay of any speakers. No
    part of the paper's recipe."""

    @model_validator(mode="after")
    def _drawn_anew(self) -> "DataConfig":
        """Refuse settings of dynamic mixing where recordings are not drawn one by one."""
        stored = self.source in ("wsj0-2mix", "libri2mix", "whamr")
        if self.speed and (stored or not self.dynamic):
            raise ValueError(
                f"speed={self.speed:g}: only dynamic mixing of single recordings changes the "
                "speed; set dynamic: true, or speed: 0"
            )
        if self.pairs != "any" and (stored or not self.dynamic):
            raise ValueError(
                f"pairs={self.pairs}: only dynamic mixing of single recordings chooses its pairs; "
                "set dynamic: true, or pairs: any"
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
    curriculum: Annotated[float, Field(ge=0, le=1)] = _later(0.0)
    """Over this share of all updates N_re grows from 1 to its trained value, in equal stages, so
    that early updates cost less (after Gong et al., "Efficient training of BERT by progressively
    stacking", 2019). 0: the trained value from the first update, as the paper trains."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """"tf32" lets a GPU round the inputs of matrix products to 10 bits; without effect on a CPU.
    "bf16" has the products of paths and splitter in bfloat16 (7 bits) and the others as "tf32";
    weights, norms, codec, STFT and loss stay in float32. TF-GridNet, whose LSTMs are no products
    of their own, has no "bf16"."""
    seed: Seed = 0
    parent: str | None = None
    """Identity of the run whose weights start this one (fine-tuning, Sec. 2.3)."""

    @property
    def total_steps(self) -> int:
        """Updates from the first epoch to the last, where `steps_per_epoch` is known."""
        if self.steps_per_epoch is None:
            raise ValueError("steps_per_epoch is not set: one pass, as long as a corpus says")
        return self.epochs * self.steps_per_epoch

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
    def _has_depth_to_grow(self) -> "TrainConfig":
        if self.curriculum and not self.model.m_re:
            raise ValueError(
                f"curriculum={self.curriculum:g}: {self.model.name} has no reconstructor whose "
                "passes could grow; set curriculum: 0"
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
