"""Are the voices of a long conversation kept apart? `python benchmarks/speakers.py SPEECH`

Writes speakers.json and README.md into build/benchmarks/speakers. Conversations of known voices are
separated in parts as `tisdiss separate` does. "oracle" estimates are the true sources in a random
order and polarity per part: what is wrong then is the order alone. The shipped model's estimates
also mix the voices within a part; "best order" is the least that any order of its parts can reach.
A frame of 0.5 s in which a speaker is active is wrong if most of him is in another output than in
the best order for the whole conversation. Model estimates are kept in --estimates and used again.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conversations import PAIRS, PAUSES, RATE, TURN, Conversation, converse, framed, short
from torch import Tensor

from tisdiss.activity import Activity
from tisdiss.analysis.inventory import write_own
from tisdiss.checkpoint import load_model
from tisdiss.level import Levels
from tisdiss.order import ByVoices, Order, by_overlap
from tisdiss.separate import OVERLAP_SECONDS, PART_SECONDS
from tisdiss.shipped import base_model
from tisdiss.stitch import n_parts, stitched

PART, OVERLAP = round(PART_SECONDS * RATE), round(OVERLAP_SECONDS * RATE)
FRAME_SECONDS = 0.5
METHODS = {
    "by_overlap": "order of the overlap alone",
    "by_voices": "order of overlap and voices",
    "best_order": "best order of each part",
}
NOTES = """\
"oracle": the true sources, in a random order and polarity per part, so that only the order can be
wrong. "shipped model": its estimates at N_re = 1. It mixes the voices within a part, often within a
second, which no order of parts can mend: the last column. Each voice has about a minute of speech,
recorded in one place, which repeats; "ls..." and "so..." were recorded in different places. Both
make voices easier to tell apart than in a real conversation.
"""
SHORT_SECONDS = 12.0
COUNTS = (
    "## Number of speakers\n",
    f"What `--speakers auto` finds in recordings of {SHORT_SECONDS:g} s of one test voice, or of "
    "two that speak all the time: files with 0, 1 or 2 speakers, and shares of the regions in "
    "which all of them are active.\n",
    "| estimates | speakers | 0: files | 1: files | 2: files | 0: regions | 1 | 2 |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)
Parts = Callable[[int], Tensor]
"""Number of a part -> its estimates (2, samples)."""


def starts(samples: int) -> list[int]:
    """The first sample of each part, as in `stitched`."""
    step, count = PART - OVERLAP, n_parts(samples, part=PART, overlap=OVERLAP)
    return [min(k * step, max(0, samples - PART)) for k in range(count)]


def oracle(talk: Conversation, seed: int) -> Parts:
    """The true sources in a random order and polarity."""
    sources, rng = torch.from_numpy(talk.sources), np.random.default_rng(seed)
    at = starts(sources.shape[1])
    orders = [torch.from_numpy(rng.permutation(2)) for _ in at]
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], (len(at), 2, 1)).astype(np.float32))
    return lambda k: signs[k] * sources[orders[k], at[k] : at[k] + PART]


def shipped(talk: Conversation, kept: Path) -> Parts:
    """The estimates of the shipped model at N_re = 1."""
    if not kept.is_file():
        model, mixture = load_model(base_model()), torch.from_numpy(talk.mixture)
        with torch.inference_mode():
            at = starts(len(mixture))
            found = torch.stack([model(mixture[None, k : k + PART], n_re=1)[0] for k in at])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found.numpy())
    found = torch.from_numpy(np.load(kept))
    return lambda k: found[k]


def joined(talk: Conversation, parts: Parts, order: Order) -> np.ndarray:
    """(2, samples) of the whole conversation."""
    number = iter(range(len(starts(talk.sources.shape[1]))))
    pieces = stitched(
        lambda _: parts(next(number)),
        [torch.from_numpy(talk.mixture)],
        part=PART,
        overlap=OVERLAP,
        order=order,
    )
    return torch.cat(list(pieces), dim=-1).numpy()


def wrong(talk: Conversation, outputs: np.ndarray) -> tuple[int, int]:
    """Frames in which an active speaker is in the wrong output, and all frames of speakers."""
    sources, outputs = framed(talk.sources, FRAME_SECONDS), framed(outputs, FRAME_SECONDS)
    place = np.abs(np.einsum("jfs,kfs->jkf", sources, outputs)).argmax(1)
    active = talk.active(FRAME_SECONDS)
    errors = [
        int((active & (place != np.array(order)[:, None])).sum())
        for order in permutations(range(2))
    ]
    return min(errors), int(active.sum())


def best_order(talk: Conversation, parts: Parts) -> tuple[int, int]:
    """As `wrong`, with the best order of each part: what the model mixes up within parts."""
    at, bad, every = starts(talk.sources.shape[1]), 0, 0
    for k, start in enumerate(at):
        end = at[k + 1] if k + 1 < len(at) else start + PART
        piece = Conversation(talk.name, talk.sources[:, start:end])
        errors, frames = wrong(piece, parts(k)[:, : end - start].numpy())
        bad, every = bad + errors, every + frames
    return bad, every


def measure(talk: Conversation, parts: Parts) -> dict[str, float]:
    """Share of wrong frames by the way in which the parts are put in order."""
    results = {
        "by_overlap": wrong(talk, joined(talk, parts, by_overlap)),
        "by_voices": wrong(talk, joined(talk, parts, ByVoices(RATE))),
        "best_order": best_order(talk, parts),
    }  # in the order of METHODS
    return {name: bad / every for name, (bad, every) in results.items()}


def count(recordings: list[np.ndarray], estimates: list[Tensor]) -> dict[str, Any]:
    """How many speakers `--speakers auto` finds: files by number, and the share of regions."""
    files, regions = Counter[int](), Counter[int]()
    for sources, found in zip(recordings, estimates, strict=True):
        mixture = torch.from_numpy(sources.sum(0))
        levels, activity = Levels(2), Activity(2, RATE)
        levels.add(mixture, found)
        activity.add(mixture, found)
        speakers = activity.speakers(levels.factors())
        files[len(speakers.present)] += 1
        now = (speakers.share_of_mixture + speakers.share_of_estimate).sum(0).round().int()
        speech = Conversation("", sources).active(FRAME_SECONDS / 5).all(0)
        regions.update(now[: len(speech)][torch.from_numpy(speech)].tolist())
    return {
        "files": {str(n): files[n] for n in range(3)},
        "regions": {str(n): round(regions[n] / regions.total(), 3) for n in range(3)},
    }


def leaking(sources: np.ndarray) -> Tensor:
    """The sources of one or two speakers, each in the other output at -20 dB."""
    both = torch.from_numpy(np.concatenate([sources, np.zeros_like(sources)])[:2])
    return torch.tensor([[1.0, 0.1], [0.1, 1.0]]) @ both


def of_model(recordings: list[np.ndarray], kept: Path) -> list[Tensor]:
    """The estimates of the shipped model at N_re = 1."""
    if not kept.is_file():
        model = load_model(base_model())
        found = [model(torch.from_numpy(x.sum(0))[None], n_re=1)[0] for x in recordings]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, torch.stack(found).numpy())
    return list(torch.from_numpy(np.load(kept)))


def counts(speech: Path, kept: Path) -> list[dict[str, Any]]:
    """Of one and of two speakers, for oracle estimates and for the shipped model."""
    rows = []
    for speakers in (1, 2):
        recordings = short(speech, speakers, SHORT_SECONDS)
        by = {
            "oracle, -20 dB of leakage": [leaking(each) for each in recordings],
            "shipped model": of_model(recordings, kept / f"short{speakers}.npy"),
        }
        rows += [
            {"estimates": name, "speakers": speakers} | count(recordings, estimates)
            for name, estimates in by.items()
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("speech", type=Path, help="folder of speakers with speakers.csv")
    parser.add_argument("--minutes", type=float, default=30.0, help="of a conversation, oracle")
    parser.add_argument("--minutes-of-model", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=2, help="of each kind")
    parser.add_argument("--estimates", type=Path, default=Path("build/benchmarks/estimates"))
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/speakers"))
    asked = parser.parse_args()
    rows = []
    for sexes in PAIRS:
        for pauses, number in product(PAUSES, range(asked.pairs)):
            talk = converse(asked.speech, sexes, number, 60 * asked.minutes, pauses)
            shares = measure(talk, oracle(talk, number))
            rows.append(_row("oracle", sexes, talk, pauses, asked.minutes, shares))
        talk = converse(asked.speech, sexes, 0, 60 * asked.minutes_of_model)
        kept = asked.estimates / f"{sexes}0-{asked.minutes_of_model:g}min.npy"
        shares = measure(talk, shipped(talk, kept))
        rows.append(_row("shipped model", sexes, talk, "close", asked.minutes_of_model, shares))
    rows.sort(key=lambda row: (row["estimates"], row["pauses"]))
    found = counts(asked.speech, asked.estimates)
    write(asked.out, rows, found)
    print(page(rows, found))


def write(folder: Path, rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Write speakers.json and README.md."""
    everything = json.dumps({"swaps": rows, "counts": found}, indent=1) + "\n"
    files = {"speakers.json": everything, "README.md": page(rows, found)}
    write_own(folder, {name: text.encode() for name, text in files.items()})


def _row(
    estimates: str,
    sexes: str,
    talk: Conversation,
    pauses: str,
    minutes: float,
    shares: dict[str, float],
) -> dict[str, Any]:
    what = {"estimates": estimates, "pauses": pauses, "sexes": sexes, "voices": talk.name}
    return {**what, "minutes": minutes, "overlap": round(talk.overlap, 3)} | {
        name: round(share, 4) for name, share in shares.items()
    }


def _span(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:g} to {seconds[1]:g} s"


def page(rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> str:
    """The tables in Markdown."""
    heads = ("estimates", "pauses", "sexes", "voices", "minutes", "overlap")
    lines = [
        "# Speakers in long conversations\n",
        f"Conversations of two test voices in turns of {_span(TURN)} with pauses of "
        f"{_span(PAUSES['close'])} (close) or {_span(PAUSES['sparse'])} (sparse), separated in "
        f"parts of {PART_SECONDS:g} s that share {OVERLAP_SECONDS:g} s. "
        "`python benchmarks/speakers.py SPEECH` measures this. "
        "Shares of the active frames of 0.5 s that lie in the wrong output:\n",
        "| " + " | ".join((*heads, *METHODS.values())) + " |",
        "|" + "---|" * 4 + "--:|" * (2 + len(METHODS)),
    ]
    for row in rows:
        shares = [f"{100 * row[name]:.1f} %" for name in METHODS]
        lines.append("| " + " | ".join([*(str(row[head]) for head in heads), *shares]) + " |")
    lines += ["", NOTES, *COUNTS]
    for row in found:
        files, regions = row["files"], [f"{100 * each:.0f} %" for each in row["regions"].values()]
        cells = [row["estimates"], row["speakers"], *files.values(), *regions]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    with torch.inference_mode():
        main()
