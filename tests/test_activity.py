"""Who speaks when: silent speakers are muted, a lone speaker is the mixture."""

import pytest
import torch
from torch import Tensor

from tisdiss.activity import Activity, Speakers

RATE, SECONDS = 1000, 20
ONES = torch.ones(2)


def noise(seed: int, level: float = 0.1) -> Tensor:
    return level * torch.randn(SECONDS * RATE, generator=torch.Generator().manual_seed(seed))


def during(*spans: tuple[float, float]) -> Tensor:
    """1 in spans of seconds, else 0."""
    time = torch.arange(SECONDS * RATE) / RATE
    return torch.stack([(time >= a) & (time < b) for a, b in spans]).any(0).float()


def found(mixture: Tensor, estimates: Tensor, size: int = 3333) -> Speakers:
    activity = Activity(len(estimates), RATE)
    for start in range(0, len(mixture), size):
        activity.add(mixture[start : start + size], estimates[:, start : start + size])
    return activity.speakers(torch.ones(len(estimates)))


def output(mixture: Tensor, estimates: Tensor, size: int = 3333) -> Tensor:
    speakers = found(mixture, estimates)
    pieces = [
        speakers.outputs(mixture[k : k + size], estimates[:, k : k + size], k)
        for k in range(0, len(mixture), size)
    ]
    return torch.cat(pieces, dim=1)


@pytest.fixture
def talk() -> tuple[Tensor, Tensor]:
    """One speaks at 0 to 8 s, the other at 4 to 12 s; the estimates leak at -20 dB."""
    sources = torch.stack([noise(1) * during((0, 8)), noise(2) * during((4, 12))])
    leaking = torch.tensor([[1, 0.1], [0.1, 1]]) @ sources
    return sources.sum(0) + noise(3, 1e-5), leaking


def test_where_one_is_alone_the_output_is_the_mixture(talk: tuple[Tensor, Tensor]) -> None:
    mixture, estimates = talk
    first, second = output(mixture, estimates)
    alone, both, other, nobody = (slice(int(a * RATE), int(b * RATE)) for a, b in
                                  ((0, 3.4), (4.6, 7.4), (8.6, 12), (12.6, 20)))  # fmt: skip
    assert torch.equal(first[alone], mixture[alone]) and not second[alone].any()
    assert torch.equal(first[both], estimates[0, both])
    assert torch.equal(second[both], estimates[1, both])
    assert torch.equal(second[other], mixture[other]) and not first[other].any()
    assert not first[nobody].any() and not second[nobody].any()


def test_pieces_do_not_matter(talk: tuple[Tensor, Tensor]) -> None:
    for size in (700, 50_000):
        torch.testing.assert_close(output(*talk, size), output(*talk))


def test_changes_are_faded(talk: tuple[Tensor, Tensor]) -> None:
    steady = torch.ones(SECONDS * RATE)
    speakers = found(*talk)
    shares = speakers.outputs(steady, torch.zeros(2, SECONDS * RATE), 0)
    assert shares.diff(dim=1).abs().max() <= 1.001 / (0.1 * RATE)
    assert shares.unique().numel() > 50


@pytest.mark.parametrize(("own_db", "speakers"), [(-15, 1), (-6, 2)])
def test_what_leaks_from_a_louder_speaker_does_not_count(own_db: float, speakers: int) -> None:
    """The second estimate is the first at -8 dB, and something of its own."""
    voice, own = noise(1), 10 ** (own_db / 20) * noise(2)
    estimates = torch.stack([voice, 10 ** (-8 / 20) * voice + own])
    assert len(found(voice + own, estimates).present) == speakers


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_copies_are_one_speaker(share: float) -> None:
    mixture = noise(1) * during((2, 9), (11, 18)) + noise(2, 1e-5)
    voice = torch.stack([(1 - share) * mixture, share * mixture])
    assert found(mixture, voice).present.tolist() == [int(share > 0.5)]
    assert torch.equal(output(mixture, voice)[0], mixture)


def test_half_copies_over_a_whole_recording_are_one_speaker() -> None:
    mixture, apart = noise(1), noise(2, 0.05)
    for difference, present in ((0.5, 1), (2.0, 2)):
        voice = torch.stack([mixture + difference * apart, mixture - difference * apart]) / 2
        assert len(found(mixture, voice).present) == present


def test_a_speaker_of_a_moment_is_absent() -> None:
    voice = noise(1)
    for seconds, present in ((0.05, 1), (3.0, 2)):
        other = noise(2) * during((5, 5 + seconds))
        assert len(found(voice + other, torch.stack([voice, other])).present) == present


def test_nobody_speaks_in_silence() -> None:
    silent = torch.zeros(SECONDS * RATE)
    assert found(silent, torch.zeros(2, SECONDS * RATE)).present.tolist() == []
    assert output(silent, torch.zeros(2, SECONDS * RATE)).shape == (0, SECONDS * RATE)


def test_three_speakers_may_be_one_two_or_three() -> None:
    voices = torch.stack([noise(1), noise(2), noise(3)])
    mixture = voices.sum(0)
    assert found(mixture, voices).present.tolist() == [0, 1, 2]
    assert found(mixture, torch.stack([voices[0] + voices[1], voices[2], 0.01 * voices[0]])
                 ).present.tolist() == [0, 1]  # fmt: skip
    assert len(found(voices[0], torch.stack([voices[0]] * 3) / 3).present) == 1
