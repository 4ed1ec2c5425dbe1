"""Stitching: parts with speakers in any order become the original signals."""

import pytest
import torch

from tisdiss.stitch import stitched


def talkers(n_src: int, samples: int) -> torch.Tensor:
    return torch.randn(n_src, samples, generator=torch.Generator().manual_seed(samples))


@pytest.mark.parametrize("n_src", [2, 3])
@pytest.mark.parametrize("samples", [1, 99, 100, 101, 175, 176, 460, 1000])
def test_parts_of_shuffled_speakers_are_put_in_order(n_src: int, samples: int) -> None:
    sources = talkers(n_src, samples)
    calls = []

    def separate(part: torch.Tensor) -> torch.Tensor:
        start = int(part[0].item())
        calls.append((start, len(part)))
        found = sources[:, start : start + len(part)]
        return (-1) ** len(calls) * found.roll(len(calls) - 1, dims=0)

    places = torch.arange(samples, dtype=torch.float32)
    blocks = places.split(37)
    whole = torch.cat(list(stitched(separate, blocks, part=100, overlap=25)), dim=-1)
    torch.testing.assert_close(-whole, sources, rtol=0, atol=1e-6)
    assert all(length == min(100, samples) for _, length in calls)
    assert len(calls) == max(1, -(-(samples - 25) // 75))


def test_the_overlap_fades_from_one_part_to_the_next() -> None:
    level = iter([1.0, 2.0])

    def separate(part: torch.Tensor) -> torch.Tensor:
        return next(level) * torch.stack([torch.ones_like(part), -torch.ones_like(part)])

    whole = torch.cat(list(stitched(separate, [torch.zeros(15)], part=10, overlap=5)), dim=-1)
    faded = [1.0, 1.25, 1.5, 1.75, 2.0]
    assert whole[0].tolist() == [1.0] * 5 + faded + [2.0] * 5
    assert torch.equal(whole[1], -whole[0])


@pytest.mark.parametrize("overlap", [0, 51])
def test_an_overlap_that_does_not_fit_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap={overlap}, part=100: .* use longer parts"):
        next(stitched(lambda part: part[None], [torch.zeros(300)], part=100, overlap=overlap))
