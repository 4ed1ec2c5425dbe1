"""TF-GridNet: its sizes, its first weights, windows, memory, and a study with it as a row."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studies import train_and_score
from tisdiss.baselines.tf_gridnet import FrameProjection, tf_gridnet
from tisdiss.config import GridConfig, ModelConfig, TrainConfig
from tisdiss.cost.formulas import macs
from tisdiss.cost.measured import _lstm_products, macs_by_part
from tisdiss.kernels.modes import set_recompute
from tisdiss.losses import pair_losses, pit_loss
from tisdiss.model import TISDiSS
from tisdiss.study.load import load_study
from tisdiss.train import start, train_step

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from agreement import saved_bytes

Tiny = Callable[..., ModelConfig]
GRIDS: list[dict] = [{}, {"hop": 2}, {"version": 2}, {"hop": 4, "version": 2}]


def build(config: ModelConfig) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(config)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def gradients(model: TISDiSS, mixture: Tensor, sources: Tensor) -> list[Tensor]:
    loss = pit_loss(pair_losses(model(mixture), sources, clamp=1e-7))[0].mean()
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(
    ("size", "channels", "grid"),
    [
        ("article", 64, GridConfig(window=4, hop=1, hidden=256, n_heads=4, qk_size=512)),
        ("espnet", 48, GridConfig(window=4, hop=1, hidden=192, n_heads=4, qk_size=512)),
        ("espnet-v2", 128, GridConfig(window=1, hop=1, hidden=192, version=2)),
    ],
)
def test_tf_gridnet_comes_in_its_known_sizes(size: str, channels: int, grid: GridConfig) -> None:
    config = tf_gridnet(size, n_src=3)
    assert (config.name, config.n_src) == ("tf-gridnet-sep6x1-l1", 3)
    assert (config.block.channels, config.grid) == (channels, grid)
    assert (config.codec.n_fft, config.codec.hop) == (128, 64)


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="TF-GridNet size 'm': choose from article, espnet"):
        tf_gridnet("m")


def test_first_weights_are_xavier_uniform_and_norms_change_nothing(tiny: Tiny) -> None:
    model = build(tiny("tf-gridnet-sep1x1-l1", channels=32, grid={"hidden": 32}))
    path = model.separator.blocks[0].paths.time
    for weight in (path.lstm.weight_ih_l0, path.lstm.weight_hh_l0_reverse):
        bound = (6 / sum(weight.shape)) ** 0.5
        assert 0.99 * bound < weight.abs().max() <= bound
    assert not any(p.any() for name, p in path.lstm.named_parameters() if "bias" in name)
    for norm in (m for m in model.modules() if isinstance(m, FrameProjection)):
        assert norm.gain.eq(1).all() and norm.bias.eq(0).all() and norm.slope.eq(0.25).all()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("samples", [65, 127, 640, 641, 703])
def test_estimates_are_as_long_as_the_mixture(tiny: Tiny, grid: dict, samples: int) -> None:
    """Mixtures from two frames on, also shorter than one window."""
    estimates = build(tiny("tf-gridnet-sep2x1-l1", grid=grid))(noise(1, samples))
    assert estimates.shape == (1, 2, samples) and estimates.isfinite().all()


def test_versions_differ_by_their_padding_alone(tiny: Tiny) -> None:
    """Both versions are the same model if a window has one position, but not if windows overlap."""
    mixture = noise(1, 700)
    for window, equal in ((1, True), (4, False)):
        one, two = (
            build(tiny("tf-gridnet-sep2x1-l1", grid={"window": window, "version": version}))
            for version in (1, 2)
        )
        for theirs, ours in zip(one.parameters(), two.parameters(), strict=True):
            turned = theirs.squeeze(-1).t() if theirs.dim() == ours.dim() + 1 else theirs
            ours.data.copy_(turned)
        assert torch.allclose(one(mixture), two(mixture), atol=1e-5) is equal


def test_frames_do_not_meet_in_the_path_within_them(tiny: Tiny) -> None:
    block = build(tiny("tf-gridnet-sep1x1-l1")).separator.blocks[0]
    features, within = noise(1, 9, 65, 8), block.paths.frequency
    other = features.clone()
    other[:, 5] = features[:, 4]
    differ = (within(features.flatten(0, 1)) != within(other.flatten(0, 1))).flatten(1).any(1)
    assert differ.nonzero().flatten().tolist() == [5]
    assert (block(features) != block(other)).flatten(2).any(2).all()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_recomputing_gives_the_same_gradients(tiny: Tiny, grid: dict) -> None:
    model = build(tiny("tf-gridnet-sep1x2-l1", grid=grid)).double()
    sources = noise(2, 2, 500).double()
    mixture = sources.sum(1)
    plain = gradients(model, mixture, sources)
    set_recompute(model, True)
    for mine, theirs in zip(gradients(model, mixture, sources), plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_recomputing_keeps_less_than_a_fifteenth(tiny: Tiny) -> None:
    model, mixture = build(tiny("tf-gridnet-sep2x1-l1", grid={"hidden": 16})), noise(1, 4000)
    kept = {}
    for on in (False, True):
        set_recompute(model, on)
        kept[on] = saved_bytes(lambda: model(mixture))
    assert kept[True] < kept[False] / 15


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_profile_counts_what_the_settings_say(tiny: Tiny, grid: dict) -> None:
    config = tiny("tf-gridnet-sep2x2-l1", grid=grid)
    measured = macs_by_part(build(config), 0.3)
    assert list(measured) == ["encoder", "separator", "decoder"]
    assert sum(measured.values()) == macs(config, 0.3)


def test_an_lstm_is_counted_as_if_it_went_step_by_step() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True).to("meta")
    x = torch.empty(3, 7, 6, device="meta")
    counted = []
    for work in (lstm, lambda x: _lstm_products(lstm, x)):
        with FlopCounterMode(display=False) as counter:
            out, _ = work(x)
        assert out.shape == (3, 7, 10)
        counted.append(counter.get_total_flops())
    assert counted == [2 * 3 * 7 * 2 * 4 * 5 * (6 + 5)] * 2


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_training_lowers_the_loss(tiny: Tiny, grid: dict) -> None:
    model = tiny("tf-gridnet-sep2x1-l2x1", grid=grid)
    config = TrainConfig.model_validate({"model": model, "optim": {"warmup_steps": 2}})
    state = start(config, None, "cpu")
    sources = noise(2, 2, 800)
    losses = [train_step(state, sources.sum(1), sources, config)["train/loss"] for _ in range(12)]
    assert losses[-1] < losses[0] - 1


STUDY = """\
study: demo
title: Does a grid help?
claim: Something holds.
base: sep1x2-re1x3-l1+3
rows:
  - id: one
    model: tf-gridnet-sep2x1-l1
    set: {model.codec.kind: conv2d, model.mask: false}
  - id: shared
    model: tf-gridnet-sep1x2-l1x2
    set: {model.codec.kind: conv2d, model.mask: false, model.grid.version: 2, model.grid.hop: 4}
evaluate: {n_re: 1..2}
show: {figure: table}
"""


def test_a_row_of_a_study_is_trained_and_scored(tmp_path: Path) -> None:
    planned = train_and_score(STUDY, tmp_path)
    assert [run.config.model.grid.hidden for run in planned.runs] == [8, 8]


def test_settings_of_its_block_are_refused_in_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(STUDY.replace("tf-gridnet-sep1x2-l1x2", "sep1x2-l1"))
    with pytest.raises(ValueError, match=r"sep1x2-l1 has no block of tf-gridnet; drop"):
        load_study(path)
