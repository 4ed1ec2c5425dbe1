"""Simulate how often `--until-decided` decides a claim correctly.

Two rows differ by a known effect. Each training adds noise. So do mixtures of two of 29 speakers,
in part the same noise for all trainings and in part new noise for each. Nothing is trained.

    python scripts/simulate_seeds.py --studies 200
"""

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np

from tisdiss.analysis.compare import Comparison
from tisdiss.analysis.mixed_model import Design
from tisdiss.analysis.sequential import FIRST, Test
from tisdiss.analysis.stats import Estimate
from tisdiss.records.expression import parse

EFFECTS = (0.0, 0.1, 0.5)
"""In dB."""
NOISE = 0.07
"""Standard deviation between trainings of a row, in dB; the difference of two has 1.41 times it."""
MIXTURES, SPEAKERS = 300, 29
SHARED, SHARE = 0.35, 0.18
"""Standard deviation over mixtures of the rows' difference, in dB, that all trainings share; and
the share of its variance that is due to speakers."""
OWN = 0.28
"""Standard deviation over mixtures, in dB, that is new for each training."""
MOST = 10
PART = parse("row('a') > row('b')")[0]


@dataclass(frozen=True)
class Ended:
    """The outcome of a simulated study, and its number of seeds."""

    outcome: str
    seeds: int


def test_set(rng: np.random.Generator) -> Design:
    draw = (rng.choice(SPEAKERS, 2, replace=False) for _ in range(MIXTURES))
    return Design.of([[f"s{speaker}" for speaker in pair] for pair in draw])


def simulate(design: Design, effect: float, rng: np.random.Generator, most: int = MOST) -> Ended:
    """One study, seed by seed until its claim is decided or futile, or no seeds are left."""
    by_speaker = np.sqrt(2) * design.weights @ rng.standard_normal(design.weights.shape[1])
    rest = rng.standard_normal(MIXTURES)
    shared = SHARED * (np.sqrt(SHARE) * by_speaker + np.sqrt(1 - SHARE) * rest)
    noise = rng.normal(0, np.sqrt(2) * NOISE, most)
    values = effect + shared + noise[:, None] + rng.normal(0, OWN, (most, MIXTURES))
    for seeds in range(FIRST, most + 1):
        test = Test([Comparison(PART, estimate(design, values[:seeds]), seeds)], most)
        if test.outcome != "OPEN":
            break
    return Ended(test.outcome, seeds)


def estimate(design: Design, values: np.ndarray) -> Estimate:
    """The estimate of a difference from its values (seed, mixture)."""
    means = values.mean(axis=1)
    apart = {tuple(range(len(values))): means - means.mean()}
    return Estimate(float(means.mean()), values.mean(axis=0), design, apart)


def summary(effect: float, ended: list[Ended]) -> str:
    """One line: the share of each outcome, and the number of seeds."""
    count = Counter(study.outcome for study in ended)
    seeds = [study.seeds for study in ended]
    decided = [study.seeds for study in ended if study.outcome in ("PASS", "FAIL")]
    shares = ", ".join(
        f"{name} {count[name] / len(ended):.1%}" for name in ("PASS", "FAIL", "FUTILE", "UNDECIDED")
    )
    until = f"{np.mean(decided):.1f}" if decided else "-"
    return (
        f"effect {effect:.1f} dB, {len(ended)} studies: {shares}; seeds mean {np.mean(seeds):.1f}, "
        f"median {np.median(seeds):.0f}, of the decided {until}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--effects", type=float, nargs="+", default=EFFECTS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for effect in options.effects:
        rng = np.random.default_rng(options.seed)
        designs = [test_set(rng) for _ in range(10)]
        ended = [simulate(designs[at % 10], effect, rng) for at in range(options.studies)]
        print(summary(effect, ended), flush=True)


if __name__ == "__main__":
    main()
