"""Speakers stay in order where the overlap of two parts does not tell who is who."""

import math

import pytest
import torch
from torch import Tensor

from tisdiss.order import ByVoices, _best, by_overlap
from tisdiss.stitch import stitched
from tisdiss.voices import difference, voices

RATE, PART, OVERLAP = 8000, 16000, 4000


def voice(
    pitch: float, brightness: float, seconds: float, seed: int = 0, rate: int = RATE
) -> Tensor:
    """Harmonics up to 3.8 kHz of a pitch that varies by 10 %, in syllables, with breath noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    phase = 2 * math.pi * pitch * (time + 0.01 * torch.sin(2 * math.pi * 1.3 * time + seed))
    tones = [brightness**k * torch.sin(k * phase) for k in range(1, int(3800 / pitch))]
    syllables = 0.6 + 0.4 * torch.sin(2 * math.pi * 3 * time + seed)
    noise = 0.01 * torch.randn(len(time), generator=generator)
    return (0.1 * (syllables * torch.stack(tones).sum(0) + noise)).float()


HIM, HER = (110.0, 0.75), (210.0, 0.6)


def conversation(silent: slice) -> Tensor:
    """(2, 5 s): both talk for 0.5 s of each second, one after the other, but for a silence."""
    sources = torch.stack([voice(*HIM, 5, 1), voice(*HER, 5, 2)])
    turn = torch.arange(sources.shape[1]) // (RATE // 2) % 2
    sources *= torch.stack([turn == 0, turn == 1])
    sources[:, silent] = 0
    return sources


def joined(sources: Tensor, orders: list[list[int]], signs: list[float], order: object) -> Tensor:
    """The sources again, after parts in these orders and polarities."""
    starts = iter(range(0, sources.shape[1], PART - OVERLAP))
    changes = iter(zip(orders, signs, strict=True))

    def separate(part: Tensor) -> Tensor:
        (perm, sign), start = next(changes), next(starts)
        return sign * sources[perm, start : start + len(part)]

    pieces = stitched(
        separate,
        [sources.sum(0)],
        part=PART,
        overlap=OVERLAP,
        order=order,  # type: ignore[arg-type]
    )
    return torch.cat(list(pieces), dim=-1)


BETWEEN = slice(PART - OVERLAP, PART)
"""The overlap of the first two parts of three."""


@pytest.mark.parametrize("signs", [[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
def test_a_speaker_is_followed_across_silence(signs: list[float]) -> None:
    sources = conversation(BETWEEN)
    found = joined(sources, [[0, 1], [1, 0], [1, 0]], signs, ByVoices(RATE))
    torch.testing.assert_close(found, sources, rtol=0, atol=1e-6)


def test_without_voices_silence_loses_them() -> None:
    sources = conversation(BETWEEN)
    found = joined(sources, [[0, 1], [1, 0], [1, 0]], [1.0] * 3, by_overlap)
    assert not torch.allclose(found, sources, atol=1e-3)


def test_a_clear_overlap_decides_against_the_voices() -> None:
    """The voices are exchanged after the first part; who goes on talking is still one speaker."""
    sources = conversation(slice(0, 0))
    exchanged = sources.clone()
    exchanged[:, PART:] = sources.flip(0)[:, PART:]
    found = joined(exchanged, [[0, 1], [1, 0], [0, 1]], [1.0] * 3, ByVoices(RATE))
    torch.testing.assert_close(found, exchanged, rtol=0, atol=1e-6)


def test_equal_halves_in_the_overlap_decide_nothing() -> None:
    """A model may give half of one speaker to each output: any order fits there."""
    order = ByVoices(RATE)
    him, her = voice(*HIM, 2, 1), voice(*HER, 2, 2)
    first = order(None, torch.stack([him, her]), him + her)
    later = torch.stack([voice(*HER, 2, 5), voice(*HIM, 2, 6)])
    before = voice(*HIM, 0.5, 7).expand(2, -1) / 2
    later[:, :OVERLAP] = before
    ordered = order(before, later, later.sum(0))
    assert torch.equal(first, torch.stack([him, her]))
    assert torch.equal(ordered, later.flip(0))
    assert torch.equal(by_overlap(before, later, later.sum(0)), later)


def test_a_speaker_adds_to_the_mixture() -> None:
    sources = torch.stack([voice(*HIM, 2, 1), voice(*HER, 2, 2)])
    upside_down = sources * torch.tensor([[1.0], [-1.0]])
    assert torch.equal(ByVoices(RATE)(None, upside_down, sources.sum(0)), sources)


@pytest.mark.parametrize("rate", [6000, 8000, 16000, 44100])
def test_a_voice_is_itself_at_any_rate(rate: int) -> None:
    pitch = [110.0, 210.0]
    both = torch.stack([voice(*HIM, 3, 1, rate), torch.zeros(3 * rate)])
    both[1, ::2] = 0
    him = voices(both, rate)[0]
    assert him.pitch.sum.item() / him.pitch.count.item() == pytest.approx(
        math.log(pitch[0]), abs=0.03
    )
    again = voices(torch.stack([voice(*HIM, 3, 5, rate)]), rate)[0]
    her = voices(torch.stack([voice(*HER, 3, 2, rate)]), rate)[0]
    assert difference(him, again) < difference(him, her) / 10
    assert him.seconds == pytest.approx(3, abs=0.1)


def test_silence_is_no_voice() -> None:
    silent, _ = voices(torch.zeros(2, 100), RATE)
    him = voices(voice(*HIM, 1)[None], RATE)[0]
    assert silent.seconds == 0 and difference(silent, him) == 0
    assert difference(him, him) == pytest.approx(0, abs=1e-6)


def test_the_lead_is_over_the_next_best_order() -> None:
    gain = torch.tensor([[5.0, 1.0, 0.0], [2.0, 4.0, 1.0], [0.0, 3.0, 3.5]])
    order, lead = _best(gain)
    assert order.tolist() == [0, 1, 2]
    assert lead == pytest.approx(12.5 - 9.0)  # 5 + 4 + 3.5 against 5 + 1 + 3
    assert _best(gain[[1, 0, 2]])[0].tolist() == [1, 0, 2]
    assert _best(gain[:1, :1])[1] == math.inf
