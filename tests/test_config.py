"""The paper's names both ways, the depths they supervise, and mistakes that are refused."""

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tisdiss.config import (
    BlockConfig,
    CodecConfig,
    DataConfig,
    EvalConfig,
    GridConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
)
from tisdiss.depths import Depth

BARE = {"m_re": 0, "n_re": 0, "losses": ["last"], "sep_residual": False}

# Names of Tables 1-3 and Fig. 2: our name, (M_sep, N_sep, M_re, N_re), number of decoded outputs.
PAPER = {
    "TISDiSS-sep1x2-re1x3": ("sep1x2-re1x3-l1+3", (1, 2, 1, 3), 4),
    "TISDiSS-sep1x2-re1x6": ("sep1x2-re1x6-l1+6", (1, 2, 1, 6), 7),
    "TISDiSS-sep1x2-re2x2": ("sep1x2-re2x2-l1+1x2", (1, 2, 2, 2), 3),
    "TISDiSS-sep6x1-l6x1": ("sep6x1-l6x1", (6, 1, 0, 0), 6),
    "TISDiSS-sep2x3-l1x3": ("sep2x3-l1x3", (2, 3, 0, 0), 3),
    "TISDiSS-sep1x6-l1x6": ("sep1x6-l1x6", (1, 6, 0, 0), 6),
    "TISDiSS-sep2x1-re3x1-l1": ("sep2x1-re3x1-l1", (2, 1, 3, 1), 1),
    "TISDiSS-sep2x1-re3x1-l3": ("sep2x1-re3x1-l3", (2, 1, 3, 1), 3),
    "TISDiSS-sep2x1-re3x1-l1+3": ("sep2x1-re3x1-l1+3", (2, 1, 3, 1), 4),
    "TISDiSS-sep2x1-re3x1-l1x2+3": ("sep2x1-re3x1-l1x2+3", (2, 1, 3, 1), 5),
    "TISDiSS-sep1×2-re1×3-l1": ("sep1x2-re1x3-l1", (1, 2, 1, 3), 1),
    "TISDiSS-sep1×2-re1×3-l3": ("sep1x2-re1x3-l3", (1, 2, 1, 3), 3),
    "TISDiSS-sep1×2-re1×3-l1+3": ("sep1x2-re1x3-l1+3", (1, 2, 1, 3), 4),
    "TISDiSS-sep1×2-re1×3-l1×2+3": ("sep1x2-re1x3-l1x2+3", (1, 2, 1, 3), 5),
    "sep1x1-re1x3-l1+1x3": ("sep1x1-re1x3-l1+3", (1, 1, 1, 3), 4),
    "sep1x2-re1x2-l1+1x2": ("sep1x2-re1x2-l1+2", (1, 2, 1, 2), 3),
    "sep1x2-re1x4-l1+1x4": ("sep1x2-re1x4-l1+4", (1, 2, 1, 4), 5),
    "sep1x2-re2x2-l1+1x2": ("sep1x2-re2x2-l1+1x2", (1, 2, 2, 2), 3),
    "sep1x2-re2x4-l1+1x4": ("sep1x2-re2x4-l1+1x4", (1, 2, 2, 4), 5),
    "sep1x2-re1x3-l1+1x3-spksplitconv2d": ("sep1x2-re1x3-l1+3-spksplitconv2d", (1, 2, 1, 3), 4),
    "sep1x2-re1x3-l1+1x3-melbandsplit": ("sep1x2-re1x3-l1+3-melbandsplit", (1, 2, 1, 3), 4),
    "sep1x2-re1x3-l1+1x3-bandsplit": ("sep1x2-re1x3-l1+3-bandsplit", (1, 2, 1, 3), 4),
    "TF-Locoformer-sep6x1": ("tf-locoformer-sep6x1-l1", (6, 1, 0, 0), 1),
    "TF-Locoformer-sep9x1": ("tf-locoformer-sep9x1-l1", (9, 1, 0, 0), 1),
    "TF-locoformer-sep6x1-l6x1": ("tf-locoformer-sep6x1-l6x1", (6, 1, 0, 0), 6),
    "TF-locoformer-sep3x2-l1x2": ("tf-locoformer-sep3x2-l1x2", (3, 2, 0, 0), 2),
    "TF-locoformer-sep2x3-l1x3": ("tf-locoformer-sep2x3-l1x3", (2, 3, 0, 0), 3),
    "TF-locoformer-sep1x6-l1x6": ("tf-locoformer-sep1x6-l1x6", (1, 6, 0, 0), 6),
    "FLA-TF-Locoformer-sep6x1": ("fla-tf-locoformer-sep6x1-l1", (6, 1, 0, 0), 1),
    "FLA-TF-Locoformer-sep2x3-l1x3": ("fla-tf-locoformer-sep2x3-l1x3", (2, 3, 0, 0), 3),
    "TF-GridNet-sep6x1": ("tf-gridnet-sep6x1-l1", (6, 1, 0, 0), 1),
    "TF-GridNet-sep2x3-l1x3": ("tf-gridnet-sep2x3-l1x3", (2, 3, 0, 0), 3),
}


@pytest.mark.parametrize("paper", PAPER)
def test_a_paper_name_is_read_and_printed(paper: str) -> None:
    name, shape, outputs = PAPER[paper]
    config = ModelConfig.from_name(paper)
    assert (config.m_sep, config.n_sep, config.m_re, config.n_re) == shape
    assert len(config.decoded()) == outputs
    assert config.name == name
    assert ModelConfig.from_name(name) == config


@given(
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(0, 3)] * 2),
    extra=st.sets(st.sampled_from(["sep", "split", "re"])),
    decode=st.tuples(*[st.sampled_from(["auto", "repetitions", "layers", "last-layers"])] * 2),
)
@settings(deadline=None, max_examples=300, derandomize=True)
def test_a_printed_name_means_the_same_depths(shape, extra, decode) -> None:
    m_sep, n_sep, m_re, n_re = shape if shape[2] and shape[3] else (*shape[:2], 0, 0)
    extra = extra if m_re else extra & {"sep"}
    config = ModelConfig(
        m_sep=m_sep,
        n_sep=n_sep,
        m_re=m_re,
        n_re=n_re,
        losses=("last", *sorted(extra)),
        decode_sep=decode[0],
        decode_re=decode[1],
    )
    assume(not m_re or extra & {"sep", "split"} != {"sep"})  # no name of the paper: see below
    again = ModelConfig.from_name(config.name)
    assert again.decoded() == config.decoded()
    assert again.name == config.name


def places(depths: tuple[Depth, ...]) -> list[tuple[str, int]]:
    return [(depth.stage, depth.block) for depth in depths]


def test_sep_without_split_is_no_name_of_the_paper() -> None:
    config = ModelConfig(losses=("last", "sep", "re"))
    assert places(config.decoded()) == [("sep", 0), ("re", 0), ("re", 1), ("re", 2)]
    assert config.name == "sep1x2-re1x3-l1sep+3"


# spec/architecture.md, section 9.
DECODED = {
    "sep1x2-re1x3-l1": [("re", 2)],
    "sep1x2-re1x3-l3": [("re", 0), ("re", 1), ("re", 2)],
    "sep2x1-re3x1-l3": [("re", 0), ("re", 1), ("re", 2)],
    "sep1x2-re1x3-l1+3": [("split", 1), ("re", 0), ("re", 1), ("re", 2)],
    "sep1x2-re1x3-l1x2+3": [("sep", 0), ("split", 1), ("re", 0), ("re", 1), ("re", 2)],
    "sep2x1-re3x1-l1x2+3": [("sep", 0), ("split", 1), ("re", 0), ("re", 1), ("re", 2)],
    "sep1x2-re2x2-l1+1x2": [("split", 1), ("re", 1), ("re", 3)],
    "sep6x1-l6x1": [*(("sep", i) for i in range(5)), ("split", 5)],
    "sep1x3-l1x3": [("sep", 0), ("sep", 1), ("split", 2)],
    "sep2x3-l1x3": [("sep", 1), ("sep", 3), ("split", 5)],
    "sep2x3-l2x1": [("sep", 4), ("split", 5)],
    "sep2x3-l2x3": [*(("sep", i) for i in range(5)), ("split", 5)],
    "sep2x2-l1": [("split", 3)],
    "tf-locoformer-sep3x2-l1x2": [("sep", 2), ("split", 5)],
}


@pytest.mark.parametrize("name", DECODED)
def test_decoded_depths_follow_the_name(name: str) -> None:
    assert places(ModelConfig.from_name(name).decoded()) == DECODED[name]


def test_decoded_depths_at_other_passes_than_the_trained_ones() -> None:
    config = ModelConfig.from_name("sep1x2-re2x2-l1x2+1x2")
    assert config.decoded(n_sep=1, n_re=1) == (Depth("split", 1, 0, 0), Depth("re", 1, 1, 1))
    assert places(config.decoded(n_sep=3, n_re=1)[:3]) == [("sep", 0), ("sep", 1), ("split", 2)]


def test_a_depth_knows_the_passes_that_lead_to_it() -> None:
    depths = ModelConfig.from_name("sep2x3-re2x2-l6+4").decoded()
    assert [(d.name, d.n_sep, d.n_re) for d in depths] == [
        *(("sep1", 1, 0), ("sep2", 1, 0), ("sep3", 2, 0), ("sep4", 2, 0), ("sep5", 3, 0)),
        ("split6", 3, 0),
        *(("re1", 3, 1), ("re2", 3, 1), ("re3", 3, 2), ("re4", 3, 2)),
    ]


def test_what_a_name_does_not_say_is_kept() -> None:
    base = ModelConfig(
        n_src=3,
        mask=True,
        sep_residual=False,
        splitter="conv2d",
        codec=CodecConfig(kind="mel-conv1d", n_bands=20),
        block=BlockConfig(channels=8),
    )
    named = ModelConfig.from_name("sep2x1-re3x1-l3", base)
    assert named.name == "sep2x1-re3x1-l3-spksplitconv2d-melbandsplit-conv1d"
    kept = ("n_src", "mask", "sep_residual", "splitter", "codec", "block")
    assert all(getattr(named, key) == getattr(base, key) for key in kept)


@pytest.mark.parametrize("baseline", ["tf-locoformer", "tf-gridnet", "fla-tf-locoformer"])
def test_leaving_the_baseline_brings_the_residual_module_back(baseline: str) -> None:
    assert ModelConfig.from_name(f"{baseline}-sep6x1").renamed("sep6x1-l1").sep_residual
    assert not ModelConfig.from_name(f"{baseline}-sep6x1").sep_residual


def test_only_a_tf_gridnet_keeps_the_settings_of_its_block() -> None:
    base = ModelConfig(grid=GridConfig(hidden=8))
    assert ModelConfig.from_name("tf-gridnet-sep2x1", base).grid.hidden == 8
    assert ModelConfig.from_name("tf-locoformer-sep2x1", base).grid == GridConfig()


def test_padding_fills_whole_windows() -> None:
    lengths = (2, 4, 5, 9, 10)
    plain, strided = GridConfig(), GridConfig(hop=3)
    assert [plain.padding(n) for n in lengths] == [(0, 2), *[(0, 0)] * 4]
    assert [strided.padding(n) for n in lengths] == [(0, 2), (0, 0), (0, 2), (0, 1), (0, 0)]
    both = GridConfig(hop=3, version=2)
    assert [both.padding(n) for n in lengths] == [(1, 1), (1, 2), (1, 1), (1, 3), (1, 2)]
    assert GridConfig(version=2).padding(9) == (3, 3)
    assert GridConfig(hop=4, version=2).padding(9) == (0, 3)


def test_a_tf_gridnet_has_no_bf16() -> None:
    model = ModelConfig.from_name("tf-gridnet-sep2x1")
    assert TrainConfig(model=model, precision="tf32").precision == "tf32"
    with pytest.raises(ValidationError, match=r"precision=bf16: the LSTMs .* set tf32 or float32"):
        TrainConfig(model=model, precision="bf16")


@pytest.mark.parametrize(
    "name", ["", "sep", "sep0x2-re1x3", "sep1x2-re1x0", "sep1x2-re1x3-l", "SepFormer", "re1x3"]
)
def test_what_is_no_name_is_refused_with_examples(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a model name; one looks like sep1x2-re1x3-l1\+3"):
        ModelConfig.from_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sep1x2-re1x3-l1+9", r"'l9' does not fit the reconstructor of 1 x 3 .*3 \(every block\)"),
        (
            "sep2x3-re1x3-l1x5+3",
            r"'l5' .* the separator of 2 x 3 .*3 \(the end of each pass\) or 6",
        ),
        ("sep6x1-l5x1", r"'l5x1' does not fit the separator of 6 x 1"),
        ("tf-locoformer-sep6x1-re1x3", "tf-locoformer has no reconstructor"),
        ("tf-gridnet-sep6x1-re1x3", "tf-gridnet has no reconstructor"),
        ("fla-tf-locoformer-sep6x1-re1x3", "fla-tf-locoformer has no reconstructor"),
    ],
)
def test_a_label_that_does_not_fit_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_name(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"m_re": 0}, "m_re=0, n_re=3: a model without early split has both at 0"),
        ({"losses": ["re"]}, "'last' is always supervised; add it"),
        ({"losses": ["last", "re", "re"]}, "name each term once"),
        ({"m_re": 0, "n_re": 0, "losses": ["last", "re"]}, "need a reconstructor"),
        ({"n_src": 1}, "greater than or equal to 2"),
        ({"block": {"norm": "rmsgrouporm"}}, "'rmsgroupnorm' or 'layernorm'"),
        ({"block": {"channels": 10}}, "channels=10 must be a multiple of norm_groups=4"),
        (
            {"block": {"attention_dim": 12}},
            "attention_dim=12 must be a multiple of twice n_heads=4",
        ),
        ({"block": {"ffn_hidden": [1, 2, 3]}}, "give one width .* or two"),
        ({"block": {"ffn_stride": 5}}, "ffn_stride=5 must not exceed ffn_kernel=4"),
        ({"codec": {"hop": 65}}, "hop=65 must be at most half of n_fft=128"),
        ({"grid": {"hop": 5}}, "hop=5 must be at most window=4"),
        ({"grid": {"version": 3}}, "Input should be 1 or 2"),
        (
            {**BARE, "architecture": "tf-gridnet", "grid": {"n_heads": 3}},
            "block.channels=128 must be a multiple of grid.n_heads=3",
        ),
        ({**BARE, "architecture": "tf-gridnet", "sep_residual": True}, "no residual module"),
        ({"codec": {"n_fft": 129}}, "multiple of 2"),
        ({"depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(settings)


@pytest.mark.parametrize("config", [ModelConfig(), TrainConfig(), EvalConfig(), LossConfig()])
def test_settings_are_frozen_and_survive_json(config) -> None:
    assert type(config).model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, next(iter(type(config).model_fields)), None)


@pytest.mark.parametrize(
    ("name", "depth", "message"),
    [
        (
            "sep1x2-re1x3",
            (None, 0),
            r"n_re=0: the reconstructor runs at least once; pass n_re >= 1",
        ),
        ("sep1x2-re1x3", (0, 3), r"n_sep=0: the separator runs at least once; pass n_sep >= 1"),
        (
            "sep6x1-l1",
            (2, 1),
            "n_re=1: sep6x1-l1 has no reconstructor to repeat; its depth is n_sep",
        ),
    ],
)
def test_a_depth_that_cannot_be_run_is_refused(name: str, depth: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_name(name).check_depth(*depth)


def test_depths_default_to_the_trained_ones() -> None:
    config = ModelConfig.from_name("sep1x2-re1x3")
    given_or_not = itertools.product((None, 5), (None, 7))
    assert [config.check_depth(*d) for d in given_or_not] == [(2, 3), (2, 7), (5, 3), (5, 7)]
    assert ModelConfig.from_name("sep6x1").check_depth(None, None) == (1, 0)


@pytest.mark.parametrize(
    "settings", [{"dynamic": False}, {"dynamic": True, "source": "wsj0-2mix"}], ids=str
)
@pytest.mark.parametrize(
    "lever",
    [{"speed": 0.1}, {"pairs": "different-sexes"}, {"turns": 0.5}, {"train_gain_db": 5.0}],
    ids=str,
)
def test_only_dynamic_mixing_of_recordings_varies_its_examples(lever, settings) -> None:
    ((name, value),) = lever.items()
    with pytest.raises(ValueError, match=f"{name}={value}: only dynamic mixing of single"):
        DataConfig.model_validate(lever | settings)
    DataConfig.model_validate(lever | {"dynamic": True, "source": "folder"})


def test_only_a_reconstructor_can_grow() -> None:
    model = ModelConfig.from_name("sep2x3-l1x3")
    with pytest.raises(ValueError, match=r"curriculum=0\.3: sep2x3-l1x3 has no reconstructor"):
        TrainConfig(model=model, curriculum=0.3)
