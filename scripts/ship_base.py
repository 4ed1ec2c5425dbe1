"""Make the trained base the shipped one: copy its weights, write its model card.

    python scripts/ship_base.py [--runs-dir runs]

Reads the finished runs of study `base` (profile cpu), and the scores of the base row of `fig2e` at
profile mini where they are there. Every number on the card comes from a scores.parquet.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.frames import load_study
from analysis.stats import depth_curve
from tisdiss.files import write_atomic
from tisdiss.harness.shipped import read_shipped

SHIPPED = "longer"
"""The row of `studies/base.yaml` whose weights are shipped; those before it led to it."""

CARD = """\
# base.safetensors

{name}: {params} parameters, {size:.1f} MB, STFT {n_fft}/{hop} at {rate} Hz, {codec} codec,
masked. Made by `make base` (study `base`, profile `cpu`) in the runs {chain}.

| | |
|---|---|
| speech | {speakers} training speakers, dynamic mixing of pairs, crops of {seconds:g} s |
| data manifest | `{manifest}` |
| training | {lines} |
| seed, threads | {seeds}, 1 |

SI-SNRi [dB] by N_re at inference, mean and 95 % interval (bootstrap over speakers):

{table}

It is a small model after hours on a CPU: a start for fine-tuning and a toy to listen to, far from
what the architecture reaches at the paper's size.

## The speech behind it

Excerpts at 8 kHz of LibriSpeech (© 2014 Vassil Panayotov, CC BY 4.0, openslr.org/12),
speechocean762 (Zhang et al., Interspeech 2021, CC BY 4.0, openslr.org/101), CSTR VCTK Corpus
(University of Edinburgh, CC BY 4.0) and AISHELL-3 (Shi et al., 2020, Apache-2.0,
openslr.org/93). Changed: resampled, trimmed, levelled, mixed.
"""


def curve(runs_dir: Path, study: str, profile: str, row: str) -> pd.DataFrame | None:
    """The row's depth curve, None where it was not scored."""
    try:
        frames = load_study(runs_dir, study, profile)
    except ValueError:
        return None
    scores = frames.scores[frames.scores["row"] == row]
    if scores.empty:
        return None
    return depth_curve(scores, rng=np.random.default_rng(0))


def table(columns: dict[str, pd.DataFrame]) -> str:
    """Depths down, test sets across."""
    depths = sorted({n for frame in columns.values() for n in frame["n_re"]})
    lines = ["| N_re | " + " | ".join(columns) + " |", "|--:|" + "--:|" * len(columns)]
    for n_re in depths:
        cells = []
        for frame in columns.values():
            row = frame[frame["n_re"] == n_re].iloc[0]
            cells.append(f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
        lines.append(f"| {n_re} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    runs_dir = parser.parse_args().runs_dir
    frames = load_study(runs_dir, "base", "cpu")
    runs = frames.runs.iloc[: list(frames.runs["row"]).index(SHIPPED) + 1]
    identities = dict(zip(runs["row"], runs["identity"], strict=True))
    folder = runs_dir / identities[SHIPPED][:10]
    weights = (folder / "model.safetensors").read_bytes()
    write_atomic(Path("models/base.safetensors"), weights)
    _, config, manifest = read_shipped(Path("models/base.safetensors"))
    results = {r: json.loads((runs_dir / i[:10] / "result.json").read_text())
               for r, i in identities.items()}  # fmt: skip
    columns = {}
    for label, where in (
        ("open test speakers", ("base", "cpu", SHIPPED)),
        ("prompts", ("fig2e", "mini", "base")),
    ):
        found = curve(runs_dir, *where)
        if found is not None:
            first = found.iloc[0]
            label += f" ({first['n_mixtures']} mixtures, {first['n_speakers']} speakers)"
            columns[label] = found
    lines = "; then ".join(
        f"{row}: {result['steps']} steps of {config.batch_size} mixtures in "
        f"{result['seconds'] / 3600:.1f} h" for row, result in results.items()
    )  # fmt: skip
    model = config.model
    card = CARD.format(
        name=model.name,
        params=f"{frames.runs['params'].dropna().iloc[-1]:,.0f}",
        size=len(weights) / 1e6,
        n_fft=model.codec.n_fft,
        hop=model.codec.hop,
        rate=model.codec.sample_rate,
        codec=model.codec.kind,
        chain=", ".join(identity[:10] for identity in identities.values()),
        speakers=426,
        seconds=config.data.segment_seconds,
        manifest=manifest,
        lines=lines,
        seeds=config.seed,
        table=table(columns),
    )
    write_atomic(Path("models/README.md"), card)
    print(card)


if __name__ == "__main__":
    main()
