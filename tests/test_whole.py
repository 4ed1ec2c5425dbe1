"""Whole models: SepReformer behind the interface of a study's model, and faults of others."""

import math
import pickle
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tisdiss.checkpoint import load_model, save_model
from tisdiss.config import Config, EvalConfig, TrainConfig, WholeConfig, model_from_json, named
from tisdiss.config.whole import whole_around
from tisdiss.contract import WHOLE_MODELS, Cost, WholeModel
from tisdiss.cost import planned
from tisdiss.dial import Dial
from tisdiss.evaluate import evaluate
from tisdiss.losses import multi_depth_loss
from tisdiss.objective import LAST, objective, validated
from tisdiss.plugins import PluginError
from tisdiss.records.identity import train_identity
from tisdiss.records.run_record import Origin
from tisdiss.study.load import load_study
from tisdiss.study.overrides import override
from tisdiss.study.resolve import resolve_evaluation, resolve_training
from tisdiss.train import Diverged, train
from tisdiss.whole import Whole, build


@pytest.fixture(scope="module")
def small() -> WholeConfig:
    return named("sepreformer", "smoke")


@pytest.fixture
def mixture() -> torch.Tensor:
    return torch.randn(2, 900, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def net(small) -> Whole:
    torch.manual_seed(0)
    return build(small).eval()


def test_a_name_has_a_variant_and_a_size():
    base, large, tiny = named("sepreformer-base"), named("sepreformer-large"), named("sepreformer")
    assert (base.name, base.n_re, tuple(base.dial), base.n_src) == (
        "sepreformer-base",
        4,
        (1, 2, 3, 4),
        2,
    )
    assert (large.settings.channels, large.settings.splitter) == (256, "separate")
    assert base.settings == tiny.settings and base != tiny
    at_cpu = named("sepreformer-large", "cpu").settings
    assert (at_cpu.channels, at_cpu.splitter) == (16, "separate")
    assert model_from_json(large.model_dump_json()) == large


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sepreformer-bas", "'sepreformer-bas' is not a model name; nearest: sepreformer-base"),
        ("sepreformr", "nearest: sepreformer$"),
        ("sep1x2-re1x", "one looks like sep1x2-re1x3-l1"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name, rule):
    with pytest.raises(ValueError, match=rule):
        named(name)


def test_a_variant_is_a_name_and_no_setting_of_the_weights():
    base, bare = (TrainConfig(model=named(n)) for n in ("sepreformer-base", "sepreformer"))
    assert train_identity(base, "d") == train_identity(bare, "d")
    wider = override(bare, {"model.sepreformer.channels": 64})
    assert train_identity(wider, "d") != train_identity(bare, "d")


def test_the_depths_are_stages_that_ran(net, mixture):
    with torch.no_grad():
        one, two = net.repetitions(mixture, [1, 2])
        assert torch.equal(net(mixture), two) and torch.equal(net(mixture, n_re=1), one)
        first, second, last = net.net.all_depths(mixture)
    assert torch.equal(one, second) and torch.equal(two, last)
    assert not torch.equal(first, second)
    estimates, n_re = Dial(settled_db=200).run(net, mixture)
    assert n_re == 2 and torch.equal(estimates, last)
    with pytest.raises(ValueError, match="n_re=3: sepreformer runs to the depths 1, 2"):
        Dial(n_re=3).check(net.config)
    with pytest.raises(ValueError, match="n_sep=2: sepreformer has no separator to repeat"):
        net(mixture, n_sep=2)


def test_it_is_trained_by_its_own_loss_and_selected_by_si_snr(net, mixture):
    sources = torch.randn(2, 2, 900, generator=torch.Generator().manual_seed(4))
    config = TrainConfig(model=net.config)
    early, late = (objective(net, mixture, sources, config, 0, epoch) for epoch in (0, 100))
    own = net.net.training_loss(mixture, sources, 1)
    assert early.places == ["time", "magnitude"]
    assert early.parts.tolist() == pytest.approx([own.time.item(), own.magnitude.mean().item()])
    assert early.total.item() == pytest.approx(
        0.6 * early.parts[0].item() + 0.4 * early.parts[1].item()
    )
    share = 0.4 * 0.8  # of epoch 101, the first in which it decays
    parts = late.parts.tolist()
    assert late.total.item() == pytest.approx((1 - share) * parts[0] + share * parts[1])
    loss, last = validated(net, mixture, sources, config)
    assert torch.equal(last, net(mixture))
    assert loss == multi_depth_loss(last[None], sources, LAST, config.loss)[1][0]


def test_a_training_resumes_exactly_although_it_has_dropout(tiny_training, small, corpus, tmp_path):
    config = override(
        tiny_training(model=small, epochs=1, average_best=1),
        {"model.sepreformer.dropout": 0.3, "model.sepreformer.loss.n_fft": 256},
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(config, corpus, whole)
    steps = iter([True])
    while train(config, corpus, parts, stop=lambda: next(steps, False)).stopped == "time":
        torch.manual_seed(99)  # another process has another state of the generator
    one, other = (load_model(folder / "model.safetensors") for folder in (whole, parts))
    assert one.config == config.model and isinstance(one, Whole)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    evaluate(
        whole / "model.safetensors",
        corpus,
        EvalConfig(n_re=(1, 2)),
        tmp_path / "scores",
    )
    heard = {path.name for path in (tmp_path / "scores").glob("audio/*/re*_est1.wav")}
    assert heard == {"re1_est1.wav", "re2_est1.wav"}


def test_a_model_file_goes_round_and_one_of_another_size_is_told_by_a_tensor(net, small, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, net, Origin())
    again = load_model(path)
    assert again.config == small
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    wide = override(TrainConfig(model=small), {"model.sepreformer.encoder_channels": 16})
    other = build(wide.model)
    other.config = small
    save_model(path, other, Origin())
    with pytest.raises(
        ValueError, match=r"do not fit sepreformer, such as net\.\S+: \(.*in the mo"
    ):
        load_model(path)


def test_a_study_takes_it_at_every_profile(write_study):
    rows = [
        "{id: a, model: sepreformer-base, set: {model.sepreformer.dropout: 0.2}}",
        "{id: b}",
        "{id: c, model: sepreformer-base, init_from: a, set: {model.sepreformer.dropout: 0.0}}",
    ]
    study = load_study(write_study(rows))
    a, b, c = study.rows
    smoke = study.at("smoke")
    config = resolve_training(study, a, smoke, seed=0)
    assert (config.model.settings.channels, config.model.settings.dropout) == (8, 0.2)
    assert config.data.source == "synthetic" and config.epochs == 2
    assert resolve_evaluation(smoke, config.model).n_re == (1, 2)
    assert resolve_evaluation(smoke, resolve_training(study, b, smoke, seed=0).model).n_re == (
        1,
        2,
        3,
        4,
    )
    assert resolve_training(study, a, study.at("paper"), seed=0).model.settings.channels == 128
    tuned = resolve_training(study, c, smoke, seed=0, parent=config.model)
    assert tuned.model.settings.dropout == 0.0 and tuned.optim.lr == 1e-4


def test_a_profile_of_the_study_sets_its_size_and_leaves_other_models_alone(write_study):
    more = (
        "profiles:\n  smoke:\n    set: {model.sepreformer.channels: 16, model.block.channels: 4}\n"
    )
    study = load_study(write_study(["{id: a, model: sepreformer}", "{id: b}"], more=more))
    theirs, ours = (resolve_training(study, row, study.at("smoke"), seed=0) for row in study.rows)
    assert theirs.model.settings.channels == 16 and ours.model.block.channels == 4
    plain = load_study(write_study(["{id: a, set: {model.block.channels: 4}}"]))
    (row,) = plain.rows
    same = resolve_training(plain, row, plain.at("smoke"), seed=0)
    assert train_identity(same, "d") == train_identity(ours, "d")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("{id: a, model: sepreformer, set: {model.sepreformer.chanels: 8}}",
         "unknown setting; nearest valid name: 'model.sepreformer.channels'"),
        ("{id: a, model: sepreformer, set: {model.block.channels: 8}}",
         "model.block.channels: sepreformer has no such setting; nearest valid name: "
         "'model.sepreformer.channels'"),
        ("{id: a, set: {model.sepreformer.channels: 8}}",
         "model.sepreformer.channels: sep1x2-re1x3-l1.3\\S* has no such setting"),
        ("{id: a, model: sepreformer, set: {model.sepreformer.channels: x}}", "valid integer"),
        ("{id: a, model: sepreformer, set: {model.sepreformer.channels: 9}}",
         "channels=9 must be a multiple of n_heads"),
        ("{id: a, model: sepreformer, n_sep: 2}", "n_sep=2: sepreformer has no separator"),
        ("{id: a, model: sepreformer, set: {curriculum: 0.5}}", "no reconstructor whose passes"),
        ("{id: a, model: sepreformer, set: {optim.kind: muon}}", "optim.kind=muon: which weights"),
        ("{id: a, model: sepreformer, set: {precision: bf16}}", "sepreformer has none"),
        ("{id: a, model: sepreformer, at: [9]}", "N_re = 9 is not among"),
        ("{id: a, model: sepreformer, init_from: 'weights:base'}", "cannot start from sep1x2"),
        ("{id: a, model: sepreformer, set: {model.sepreformer.sample_rate: 16000}}",
         "set data.sample_rate and model.sepreformer.sample_rate to the same"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_the_way_out(write_study, row, rule):
    with pytest.raises(ValueError, match=rule):
        load_study(write_study([row]))


def test_its_cost_is_that_of_its_formulas(small, net):
    assert planned.parameters(small) == sum(p.numel() for p in net.parameters())
    assert planned.macs(small, 1.0, n_re=1) < planned.macs(small, 1.0)
    assert planned.macs(small, 1.0) == planned.macs(small, 1.0, n_re=2)
    assert planned.training_macs(small, 1.0) > 3 * planned.macs(small, 1.0)
    assert planned.training_bytes(small, 1.0, 2) is None and not planned.is_counted(small)


# --- models of others -----------------------------------------------------------------------------


class Gain(Config):
    n_src: int = 2
    sample_rate: int = 8000


class GainNet(nn.Module):
    """Each source is the mixture times a number."""

    def __init__(self, settings):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(settings.n_src))

    def forward(self, mixture):
        return self.gain[:, None] * mixture[:, None]


class Wrong(GainNet):
    def forward(self, mixture):
        return mixture


class Nan(GainNet):
    def forward(self, mixture):
        return super().forward(mixture) / 0


class Raises(GainNet):
    def forward(self, mixture):
        raise KeyError("lost")


class WithLoss(GainNet):
    def training_loss(self, mixture, sources, epoch):
        return epoch * (self(mixture) - sources).square().mean()


class VectorLoss(GainNet):
    def training_loss(self, mixture, sources, epoch):
        return mixture


def cost(settings, seconds):
    return Cost(parameters=settings.n_src, macs={0: round(100 * seconds)})


@pytest.fixture
def other(monkeypatch):
    """Adds a model "gain" of a package to the table, by the class of its module."""

    def add(kind: type[nn.Module], **changes) -> WholeConfig:
        entry = WholeModel(module=f"{__name__}:{kind.__name__}", settings=f"{__name__}:Gain")
        monkeypatch.setitem(WHOLE_MODELS, "gain", replace(entry, **changes))
        monkeypatch.setitem(WHOLE_MODELS._packages, "gain", "gains 2.0")
        return named("gain")

    return add


def test_a_module_without_more_minimises_si_snr(other, mixture):
    model = build(other(GainNet))
    sources = torch.randn(2, 2, 900)
    total, parts, places = objective(model, mixture, sources, TrainConfig(model=model.config), 0, 0)
    assert places == ["last"] and parts.tolist() == [total.item()]
    assert model.config.dial == () and model.config.n_re == 0
    assert total == multi_depth_loss(model(mixture)[None], sources, LAST, TrainConfig().loss)[0]


def test_a_loss_of_its_own_may_be_a_plain_number(other, mixture):
    model = build(other(WithLoss))
    sources = torch.zeros(2, 2, 900)
    config = TrainConfig(model=model.config)
    one, three = (objective(model, mixture, sources, config, 0, epoch) for epoch in (0, 2))
    assert one.total.item() == pytest.approx(mixture.square().mean().item())
    assert three.total.item() == pytest.approx(3 * one.total.item())


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Wrong, r"returned a tensor of shape \(2, 900\) for a mixture of \(2, 900\), where .*"
                r"\(2, 2, 900\)"),
        (Nan, "returned estimates with NaN or infinity"),
        (Raises, "raised KeyError: 'lost'"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_the_package(other, mixture, kind, rule):
    model = build(other(kind)).eval()
    with pytest.raises(PluginError, match=f"^model 'gain' of package gains 2.0.* ?{rule}"):
        model(mixture)


def test_a_loss_that_is_no_number_is_told(other, mixture):
    with pytest.raises(PluginError, match=r"gains 2.0: training_loss\(\) returned a tensor of sh"):
        build(other(VectorLoss)).training_loss(mixture, mixture[:, None], 1)


def test_a_training_that_diverges_is_told_with_the_package(other, tiny_training, corpus, tmp_path):
    config = tiny_training(model=other(Nan), steps_per_epoch=10, epochs=1)
    with pytest.raises(Diverged, match=r"'gain' of package gains 2\.0, step 9: 10 upd"):
        train(config, corpus, tmp_path)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"settings": f"{__name__}:GainNet"}, "settings .*:GainNet are no tisdiss.config.Config"),
        ({"settings": "nowhere:Gain"}, "nowhere:Gain cannot be imported .ModuleNotFoundError"),
        ({"sizes": {"smoke": {"chanels": 3}}}, "gains 2.0: its settings at profile 'smoke'"),
    ],
)
def test_a_description_that_breaks_the_contract_is_told(other, changes, rule):
    other(GainNet)
    with pytest.raises(PluginError, match=rule):
        other(GainNet, **changes)
        named("gain", "smoke")


def test_a_cost_of_its_own_is_taken(other):
    model = other(GainNet, cost=__name__)
    assert planned.macs_per_second(model) == 100 and planned.parameters(model) == 2
    assert planned.training_macs(model, 3.0) == 900 and not planned.is_counted(model)
    assert math.isclose(planned.macs(model, 0.5), 50)


def test_what_is_no_setting_of_the_group_is_refused(small):
    with pytest.raises(ValidationError, match=r"sepreformer\.chanels"):
        override(TrainConfig(model=small), {"model.sepreformer.chanels": 1})


def test_a_module_from_elsewhere_is_taken_in(net, mixture):
    around = Whole(whole_around(net.net.config), net.net).eval()
    assert around.config == net.config and around.config.architecture == "sepreformer"
    with torch.no_grad():
        assert torch.equal(around(mixture), net(mixture))
    with pytest.raises(ValueError, match="Gain: no whole model has these settings"):
        whole_around(Gain())


def test_settings_go_to_another_process(small):
    again = pickle.loads(pickle.dumps(small))
    assert again == small and hash(again) == hash(small)
    assert type(again) is type(small)
