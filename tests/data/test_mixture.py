"""Fixed sets: deterministic, different speakers, exact sums, gains as drawn."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tisdiss.data import MixtureSet, Source, fixed_set
from tisdiss.data.audio import active_rms, quantise
from tisdiss.data.decoded import Entry, Store, digest
from tisdiss.data.draw import Draw
from tisdiss.data.mixture import mix
from tisdiss.data.source import Listed, Tally, build

RATE = 8000
PINNED_RECIPES = [
    (("a/1", "b/1"), (253, 1121), (-0.2064, 0.2064), 3200),
    (("c/0", "b/1"), (368, 910), (-0.3009, 0.3009), 3200),
    (("c/0", "b/0"), (472, 14), (0.6029, -0.6029), 3200),
]
ELSEWHERE = """
from tisdiss.data import fixed_set, synthetic
source = synthetic(8, utterances=4, seconds=1.2)
options = dict(n_src=2, gain_db=2.5, min_seconds=0.5, max_seconds=1.0, seed=3)
print(fixed_set(source, "train", n_mixtures=20, **options).manifest_hash)
"""


def make(source: Source, split: str = "train", **changes) -> MixtureSet:
    options = {
        "n_mixtures": 20, "n_src": 2, "gain_db": 2.5,
        "min_seconds": 0.5, "max_seconds": None, "seed": 0,
    }  # fmt: skip
    return fixed_set(source, split, **(options | changes))


def source_of(signals: dict[str, np.ndarray]) -> Source:
    """A source of given sounds; a name is speaker/file."""
    entries, pcms, offset = {}, [], 0
    for name, signal in signals.items():
        pcm, exponent = quantise(signal)
        entries[name] = Entry(offset, len(pcm), exponent, digest(pcm, exponent))
        pcms.append(pcm)
        offset += len(pcm)
    listed = [Listed(name, name.split("/")[0], "train") for name in signals]
    return build("given", listed, Store(np.concatenate(pcms), entries), Tally(), sample_rate=RATE)


def noise(*seed: str | int, samples: int = RATE) -> np.ndarray:
    draw = Draw(*seed)
    return np.array([draw.uniform(-0.1, 0.1) for _ in range(samples)])


def test_same_seed_is_the_same_set_in_another_process(voices):
    command = [sys.executable, "-c", ELSEWHERE]
    other = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    assert other.stdout.strip() == make(voices, max_seconds=1.0, seed=3).manifest_hash


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}


def test_the_recipes_are_pinned():
    sounds = {f"{s}/{k}": noise(s, k, samples=4000 + 500 * k) for s in "abc" for k in range(2)}
    recipes = make(source_of(sounds), n_mixtures=3, min_seconds=0.1, max_seconds=0.4).mixtures
    assert [(m.utterances, m.starts, m.gains_db, m.samples) for m in recipes] == PINNED_RECIPES


@pytest.mark.parametrize("change", [{"seed": 1}, {"gain_db": 2.0}, {"max_seconds": 0.9}])
def test_any_setting_changes_the_manifest(voices, change):
    assert make(voices, **change).manifest_hash != make(voices).manifest_hash


def test_manifest_sees_the_sound_of_the_source(voices):
    first, *rest = voices.utterances
    other = replace(voices, utterances=(replace(first, digest="0" * 64), *rest))
    assert make(other).rows() == make(voices).rows()
    assert make(other).manifest_hash != make(voices).manifest_hash


@pytest.mark.parametrize("n_src", [2, 3])
def test_no_mixture_has_a_speaker_twice_and_none_is_twice(voices, n_src):
    mixtures = make(voices, n_src=n_src, n_mixtures=60)
    assert all(len(set(row["speakers"])) == n_src for row in mixtures.rows())
    assert len({frozenset(m.utterances) for m in mixtures.mixtures}) == 60


def test_all_possible_mixtures_can_be_asked_for_but_no_more(voices):
    possible = 4 * 4 * 6  # four training speakers of four utterances
    everything = make(voices, n_mixtures=possible)
    assert len({frozenset(m.utterances) for m in everything.mixtures}) == possible
    with pytest.raises(ValueError, match="yields 96 different mixtures, not 97; request fewer"):
        make(voices, n_mixtures=97)


def test_mixture_is_exactly_the_sum_of_its_sources(voices):
    for n_src in (2, 3):
        mixtures = make(voices, n_src=n_src)
        for i in range(len(mixtures)):
            example = mixtures[i]
            total = example.sources[0].clone()
            for source in example.sources[1:]:
                total += source
            assert torch.equal(example.mixture, total)


def test_gains_are_realised_within_a_hundredth_of_a_decibel(voices):
    mixtures = make(voices)
    for i, recipe in enumerate(mixtures.mixtures):
        levels = [active_rms(s.numpy(), RATE) for s in mixtures[i].sources]
        first, second = recipe.gains_db
        assert second == -first and abs(first) <= 2.5
        assert 20 * np.log10(levels[0] / levels[1]) == pytest.approx(2 * first, abs=0.01)


def test_gains_of_three_speakers_are_independent(voices):
    gains = np.array([m.gains_db for m in make(voices, n_src=3, n_mixtures=60).mixtures])
    assert np.abs(gains).max() <= 2.5
    assert np.abs(np.corrcoef(gains.T) - np.eye(3)).max() < 0.4


def test_mixture_is_cut_to_the_shortest_from_the_start(voices):
    samples = {u.id: u.samples for u in voices.utterances}
    for mixture in make(voices).mixtures:
        assert mixture.samples == min(samples[u] for u in mixture.utterances)
        assert mixture.starts == (0, 0)


def test_capped_mixtures_start_anywhere_and_stay_inside(voices):
    samples = {u.id: u.samples for u in voices.utterances}
    mixtures = make(voices, max_seconds=0.5).mixtures
    assert {m.samples for m in mixtures} == {4000}
    assert len({start for m in mixtures for start in m.starts}) > 30
    for m in mixtures:
        assert all(s + 4000 <= samples[u] for s, u in zip(m.starts, m.utterances, strict=True))


def test_short_utterances_are_left_out(voices):
    limit = float(np.median([u.samples for u in voices.split("train")])) / RATE
    samples = {u.id: u.samples for u in voices.utterances}
    used = {u for m in make(voices, min_seconds=limit).mixtures for u in m.utterances}
    assert used and all(samples[u] >= limit * RATE for u in used)


def test_mixtures_with_a_silent_source_are_left_out():
    late = np.concatenate([np.zeros(RATE), noise("late")])
    source = source_of({"a/0": noise("a"), "b/0": noise("b"), "c/0": late})
    assert {frozenset(r["speakers"]) for r in make(source, n_mixtures=1).rows()} == {
        frozenset("ab")
    }
    with pytest.raises(ValueError, match="yields 1 mixtures of audible speech"):
        make(source, n_mixtures=2)


def test_a_corpus_of_silence_is_not_searched_for_ever(monkeypatch):
    """Of many speakers there are more mixtures than anybody can listen to."""
    names = [f"s{speaker}/{k}" for speaker in range(20) for k in range(3)]
    source = source_of({name: noise(name, samples=500) for name in names})
    monkeypatch.setattr("tisdiss.data.mixture.MAX_SILENT", 50)
    heard = []
    monkeypatch.setattr("tisdiss.data.mixture.is_silent", lambda *a: heard.append(a) or True)
    with pytest.raises(ValueError, match="yields 0 mixtures of audible speech"):
        make(source, n_mixtures=2, min_seconds=0.05)
    assert len(heard) == 50


def test_too_few_speakers_names_the_split_and_the_rule(voices):
    message = r"split 'test' of synthetic, .* 0\.5 s, has 2 speakers; a mixture needs 3"
    with pytest.raises(ValueError, match=message):
        make(voices, "test", n_src=3)


def test_loud_mixture_is_brought_to_a_peak_of_one():
    parts = [np.zeros(RATE, np.float32) for _ in range(2)]
    for part in parts:
        part[::400] = 1.0
    mixture, sources = mix(parts, (20.0, 20.0), RATE)
    assert np.abs(mixture).max() == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(mixture, sources[0] + sources[1])


def test_crop_has_the_asked_length_and_says_how_much_is_valid(voices):
    mixtures = make(voices, max_seconds=0.5)
    short, long = mixtures.crop(0, 0, 0.25), mixtures.crop(0, 0, 0.75)
    assert short.mixture.shape == (2000,) and short.samples == 2000
    assert long.sources.shape == (2, 6000) and long.samples == 4000
    assert torch.equal(long.mixture[:4000], mixtures[0].mixture)
    assert not long.sources[:, 4000:].any()


def test_crop_changes_with_the_epoch_and_not_with_the_order(voices):
    mixtures = make(voices)
    first = mixtures.crop(0, 3, 0.3)
    assert not torch.equal(mixtures.crop(1, 3, 0.3).mixture, first.mixture)
    assert torch.equal(mixtures.crop(0, 3, 0.3).mixture, first.mixture)


def test_crop_avoids_silence_in_a_source():
    half = np.concatenate([noise("half", samples=4000), np.zeros(12000)])
    source = source_of({"a/0": noise("a", samples=16000), "b/0": half})
    mixtures = make(source, n_mixtures=1)
    for epoch in range(20):
        assert mixtures.crop(epoch, 0, 0.25).sources.abs().amax(1).min() > 1e-3


def test_crop_of_no_length_is_refused(voices):
    with pytest.raises(ValueError, match=r"seconds=0: a crop has at least 0\.02 s"):
        make(voices).crop(0, 0, 0.0)


def test_example_knows_its_speakers_and_their_sex(voices):
    mixtures = make(voices)
    sexes = {u.speaker: u.sex for u in voices.utterances}
    example = mixtures[0]
    assert example.id == "train-00000"
    assert example.speakers == tuple(mixtures.rows()[0]["speakers"])
    assert example.sexes == tuple(sexes[s] for s in example.speakers)
