"""Fixed, adaptive and anytime depth agree with plain passes at the depth they report."""

from itertools import pairwise

import pytest
import torch

from tisdiss.dial import Dial
from tisdiss.metrics import si_snr
from tisdiss.model import TISDiSS


@pytest.fixture(scope="module")
def model(tiny) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")).eval()


@pytest.fixture(scope="module")
def mixture() -> torch.Tensor:
    return 0.1 * torch.randn(1, 900, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A fake clock: each call is one second later than the previous one."""
    ticks = [0.0]

    def monotonic() -> float:
        ticks[0] += 1
        return ticks[0]

    monkeypatch.setattr("tisdiss.dial.time.monotonic", monotonic)
    return ticks


def changes(model: TISDiSS, mixture: torch.Tensor, depths: int) -> list[float]:
    """How far the change of passes 2, 3, ... lies below the estimates, in dB."""
    with torch.inference_mode():
        each = list(model.repetitions(mixture, range(1, depths + 1)))
    return [si_snr(a, b).min().item() for a, b in pairwise(each)]


@pytest.mark.parametrize(("n_re", "ran"), [(None, 2), (1, 1), (5, 5)])
@torch.inference_mode()
def test_a_fixed_depth_is_the_models(model, mixture, n_re, ran) -> None:
    estimates, depth = Dial(n_re=n_re).run(model, mixture)
    assert depth == ran
    assert torch.equal(estimates, model(mixture, n_re=ran))


@torch.inference_mode()
def test_it_stops_at_the_first_pass_that_changes_little(model, mixture) -> None:
    below = changes(model, mixture, 6)
    wanted = max(below[:3])
    first = 2 + next(i for i, value in enumerate(below) if value >= wanted)
    estimates, depth = Dial(settled_db=wanted - 1e-6).run(model, mixture)
    assert depth == first
    torch.testing.assert_close(estimates, model(mixture, n_re=first))


@torch.inference_mode()
def test_what_never_settles_stops_at_the_deepest(model, mixture) -> None:
    assert Dial(settled_db=500).run(model, mixture)[1] == 10
    assert Dial(settled_db=500, n_re=4).run(model, mixture)[1] == 4


@torch.inference_mode()
def test_silence_is_settled_at_once(model) -> None:
    estimates, depth = Dial(settled_db=30).run(model, torch.zeros(1, 900))
    assert depth == 2 and not estimates.any()


@pytest.mark.parametrize(("seconds", "ran"), [(0.1, 1), (2, 2), (4.5, 4), (60, 10)])
@torch.inference_mode()
def test_no_pass_starts_that_would_end_too_late(model, mixture, clock, seconds, ran) -> None:
    # A look at the time before the first pass and one after each: pass n ends at second n.
    assert Dial(seconds=seconds).run(model, mixture)[1] == ran


@pytest.mark.parametrize(("budget", "ran"), [(1e-9, 1), (2 / 0.1125, 2), (4.5 / 0.1125, 4)])
@torch.inference_mode()
def test_a_budget_is_for_each_second_of_sound(model, mixture, clock, budget, ran) -> None:
    dial = Dial(budget=budget)  # 900 samples at 8000 Hz
    assert dial.run(model, mixture)[1] == ran
    assert dial.later(ran) == Dial(n_re=ran) and Dial(seconds=2).later(5) == Dial(seconds=2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_re": 0}, "n_re=0: the reconstructor runs at least once"),
        ({"settled_db": float("nan")}, "settled at nan dB: give a number above 0, such as 30"),
        ({"settled_db": -30.0}, "settled at -30.0 dB: give a number above 0, such as 30"),
        ({"seconds": 0.0}, "within 0.0 s: give a time budget above 0"),
        ({"budget": 0.0}, "budget of 0.0 s per second: give a number above 0"),
        ({"budget": 1.0, "seconds": 1.0}, "a budget fixes the depth"),
    ],
)
def test_senseless_settings_are_refused(setting, message) -> None:
    with pytest.raises(ValueError, match=message):
        Dial(**setting)


def test_a_model_without_reconstructor_has_nothing_to_repeat(tiny, mixture) -> None:
    model = TISDiSS.from_config(tiny("sep1x2-l1"))
    assert Dial().run(model, mixture)[1] == 0
    with pytest.raises(ValueError, match="has no reconstructor to repeat"):
        Dial(settled_db=30).run(model, mixture)
