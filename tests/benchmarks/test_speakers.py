"""The measure of speakers in the wrong output."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import speakers
from conversations import RATE, Conversation, framed


@pytest.fixture
def talk() -> Conversation:
    """20 s: the first speaker throughout, the second in the second half."""
    sources = 0.1 * np.random.default_rng(0).standard_normal((2, 20 * RATE)).astype(np.float32)
    sources[1, : 10 * RATE] = 0
    return Conversation("two", sources)


def test_activity_and_overlap(talk: Conversation) -> None:
    assert talk.active(0.5).sum(1).tolist() == [40, 20]
    assert talk.overlap == pytest.approx(0.5)
    assert framed(talk.sources, 0.5).shape == (2, 40, RATE // 2)


@pytest.mark.parametrize(("exchanged", "wrong"), [(0, 0), (2, 4), (10, 20), (12, 28), (20, 0)])
def test_frames_in_the_other_output_are_wrong(
    talk: Conversation, exchanged: int, wrong: int
) -> None:
    """Up to 10 s, one speaker is exchanged; then both are, until the other order fits better."""
    outputs = -talk.sources.copy()
    outputs[:, : exchanged * RATE] = outputs[::-1, : exchanged * RATE]
    assert speakers.wrong(talk, outputs) == (wrong, 60)


def test_parts_are_those_that_are_joined() -> None:
    samples = 3 * speakers.PART
    calls = []

    def order(before: object, estimates: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
        calls.append(int(mixture[0]))
        return estimates

    counting = np.arange(samples, dtype=np.float32)
    talk = Conversation("count", np.stack([counting, 0 * counting]))
    speakers.joined(talk, lambda k: torch.zeros(2, speakers.PART), order)
    assert calls == speakers.starts(samples)
