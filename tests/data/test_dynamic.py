"""Dynamic mixing: examples depend only on their seed, have full length and are audible."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tisdiss.data import DynamicMixtures, Source
from tisdiss.data.audio import active_rms
from tisdiss.data.dynamic import gap

RATE = 8000


def make(source: Source, **changes) -> DynamicMixtures:
    options = {"n_src": 2, "length": 50, "gain_db": 2.5, "seconds": 0.5, "seed": 0}
    return DynamicMixtures(source, "train", **(options | changes))


def same(a, b) -> bool:
    return a.id == b.id and a.speakers == b.speakers and torch.equal(a.sources, b.sources)


def test_example_does_not_depend_on_what_was_drawn_before(voices):
    forward = [make(voices).crop(2, i) for i in range(10)]
    mixtures = make(voices)
    backward = [mixtures.crop(2, i) for i in reversed(range(10))]
    assert all(same(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_another_worker_makes_the_same_example(voices):
    mixtures = make(voices)
    copy = pickle.loads(pickle.dumps(mixtures))
    assert same(copy.crop(1, 7), mixtures.crop(1, 7))


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"i": 1}])
def test_seed_epoch_and_index_each_change_the_example(voices, other):
    mixtures = make(voices, seed=other.get("seed", 0))
    changed = mixtures.crop(other.get("epoch", 0), other.get("i", 0))
    assert not torch.equal(changed.mixture, make(voices).crop(0, 0).mixture)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.2, 7.0])
def test_crop_has_exactly_the_asked_length(voices, seconds):
    example = make(voices).crop(0, 0, seconds)
    assert example.mixture.shape == (round(seconds * RATE),)
    assert example.sources.shape == (2, round(seconds * RATE))
    assert example.samples == round(seconds * RATE)


def test_long_crop_is_filled_with_more_of_the_same_speaker(voices):
    mixtures = make(voices)
    example = mixtures.crop(0, 0, 3.0)
    frames = example.sources.unfold(1, 4000, 4000).abs().amax(2)
    assert frames.min() > 1e-3


def test_no_speaker_is_mixed_with_itself_and_all_are_heard(voices):
    mixtures = make(voices)
    pairs = [mixtures.crop(0, i, 0.1).speakers for i in range(100)]
    assert all(a != b for a, b in pairs)
    assert {s for pair in pairs for s in pair} == {u.speaker for u in voices.split("train")}


def test_only_the_training_split_is_heard(voices):
    train = {u.speaker for u in voices.split("train")}
    assert all(set(make(voices).crop(0, i, 0.1).speakers) <= train for i in range(30))


def test_sum_is_exact_and_gains_stay_in_range(voices):
    mixtures = make(voices)
    for i in range(20):
        example = mixtures.crop(0, i)
        assert torch.equal(example.mixture, example.sources[0] + example.sources[1])
        first, second = (active_rms(s.numpy(), RATE) for s in example.sources)
        assert abs(20 * np.log10(first / second)) < 5.01


def test_manifest_knows_every_setting(voices):
    hashes = {make(voices).manifest_hash}
    for change in ({"seed": 1}, {"length": 51}, {"gain_db": 2.0}, {"seconds": 1.0}, {"n_src": 3}):
        hashes.add(make(voices, **change).manifest_hash)
    assert len(hashes) == 6 and make(voices).manifest_hash in hashes


def test_one_speaker_is_not_enough(voices):
    with pytest.raises(ValueError, match="has 4 speakers; a mixture needs 5 different ones"):
        make(voices, n_src=5)


def test_speed_changes_the_sound_but_not_the_length_or_the_sum(voices):
    quick, plain = (make(voices, speed=speed).crop(0, 3) for speed in (0.2, 0.0))
    assert quick.mixture.shape == plain.mixture.shape == (RATE // 2,)
    assert not torch.equal(quick.sources, plain.sources)
    assert torch.equal(quick.mixture, quick.sources[0] + quick.sources[1])
    assert same(quick, make(voices, speed=0.2).crop(0, 3))


def test_speed_enters_the_manifest(voices):
    hashes = {make(voices, speed=speed).manifest_hash for speed in (0.0, 0.1, 0.2)}
    assert len(hashes) == 3


def test_one_speaker_is_silent_in_a_part_of_a_share_of_the_mixtures(voices):
    def silenced(i, turns):
        """For each source, the share of the crop that is silent only with turns."""
        plain, turned = (make(voices, turns=t).crop(0, i).sources for t in (0.0, turns))
        return ((turned == 0) & (plain != 0)).float().mean(dim=1).tolist()

    always = [silenced(i, 1.0) for i in range(40)]
    assert all(min(shares) == 0 and max(shares) <= 0.7 for shares in always)
    assert {shares.index(max(shares)) for shares in always} == {0, 1}
    assert sum(max(shares) > 0.05 for shares in always) > 30
    assert 10 < sum(max(silenced(i, 0.5)) > 0.05 for i in range(40)) < 30
    example = make(voices, turns=1.0).crop(0, 3)
    assert torch.equal(example.mixture, example.sources[0] + example.sources[1])


def test_a_silence_has_short_slopes():
    shape = gap(100, 30, 50, rate=200)  # slopes of 4 samples
    assert shape[30:50].max() == 0 and shape[:26].min() == shape[54:].min() == 1
    assert shape[25:31].tolist() == [1, 1, 0.75, 0.5, 0.25, 0]
    assert shape[49:55].tolist() == [0, 0.25, 0.5, 0.75, 1, 1]
    assert gap(10, -20, -8, rate=200).tolist() == [1] * 10


def test_turns_enter_the_manifest_only_where_they_are_asked_for(voices):
    assert make(voices, turns=0.0).manifest_hash == make(voices).manifest_hash
    assert make(voices, turns=0.5).manifest_hash != make(voices).manifest_hash


def test_pairs_of_different_sexes_are_in_either_order_and_of_all_voices(voices):
    drawn = [make(voices, pairs="different-sexes").crop(0, i, 0.1) for i in range(100)]
    assert {example.sexes for example in drawn} == {("f", "m"), ("m", "f")}
    assert {s for e in drawn for s in e.speakers} == {u.speaker for u in voices.split("train")}
    assert {len(set(make(voices).crop(0, i, 0.1).sexes)) for i in range(20)} == {1, 2}


def test_pairs_enter_the_manifest_only_where_they_are_chosen(voices):
    plain, chosen = (make(voices, pairs=pairs) for pairs in ("any", "different-sexes"))
    assert plain.manifest_hash == make(voices).manifest_hash != chosen.manifest_hash


def of_sexes(source: Source, *sexes: str) -> Source:
    """The source with these in turn as the sexes of its training speakers."""
    order = sorted({u.speaker for u in source.split("train")})
    known = {speaker: sexes[i % len(sexes)] for i, speaker in enumerate(order)}
    changed = (replace(u, sex=known.get(u.speaker, "")) for u in source.utterances)
    return replace(source, utterances=tuple(changed))


def test_speakers_of_unknown_sex_are_in_no_pair(voices):
    mixtures = make(of_sexes(voices, "f", "m", ""), pairs="different-sexes")
    drawn = [mixtures.crop(0, i, 0.1) for i in range(40)]
    assert {example.sexes for example in drawn} == {("f", "m"), ("m", "f")}
    assert len({s for example in drawn for s in example.speakers}) == 3  # of four


@pytest.mark.parametrize(
    ("sexes", "n_src", "message"),
    [
        (("f", ""), 2, r"has 2 women, 0 men and 2 speakers of unknown sex; fill the column"),
        (("",), 2, r"has 0 women, 0 men and 4 speakers of unknown sex"),
        (("f", "m"), 3, "n_src=3 speakers are not a pair; set data.pairs: any"),
    ],
)
def test_pairs_that_cannot_be_chosen_are_refused(voices, sexes, n_src, message):
    with pytest.raises(ValueError, match=message):
        make(of_sexes(voices, *sexes), n_src=n_src, pairs="different-sexes")
