"""Ship the trained base model: copy its weights, write its model card.

    python scripts/ship_base.py [--runs-dir runs] [--anyway]

Reads the finished runs of study `base` (profile cpu), and, if they exist, the scores of the base
row of `fig2e` at profile mini. Scores on the card come from scores.parquet, other numbers from the
records of the runs. A run that cannot be reproduced, because of changed files, a lost commit or
other steps than its settings have, is refused without `--anyway`; the card then says so.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tisdiss.analysis.frames import load_study, run_records
from tisdiss.analysis.provenance import origin_text, other_steps, reported_run
from tisdiss.analysis.stats import depth_curve
from tisdiss.records.files import write_atomic
from tisdiss.records.report_record import ReportRun
from tisdiss.study.shipped_weights import read_shipped

SHIPPED = "longer"
"""The row of `studies/base.yaml` whose weights are shipped; each row starts from the one before."""

CARD = """\
# base.safetensors

{name}: {params} parameters, {size:.1f} MB, STFT {n_fft}/{hop} at {rate} Hz, {codec} codec,
masked. Made by `make base` (study `base`, profile `cpu`) in a chain of runs, see below.

| | |
|---|---|
| speech | {speakers} training speakers, dynamic mixing of pairs, crops of {seconds:g} s |
| data manifest | `{manifest}` |
| seed, threads | {seeds}, 1 |

Each run goes on from the weights of the one before:

| row | run | steps of {batch} mixtures | hours | code |
|---|---|---|--:|---|
{lines}

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
    """The row's depth curve; None if it was not scored."""
    try:
        frames = load_study(runs_dir, study, profile)
    except ValueError:
        return None
    scores = frames.scores[frames.scores["row"] == row]
    if scores.empty:
        return None
    return depth_curve(scores, rng=np.random.default_rng(0))


def table(columns: dict[str, pd.DataFrame]) -> str:
    """A Markdown table with a line per depth and a column per test set."""
    depths = sorted({n for frame in columns.values() for n in frame["n_re"]})
    lines = ["| N_re | " + " | ".join(columns) + " |", "|--:|" + "--:|" * len(columns)]
    for n_re in depths:
        cells = []
        for frame in columns.values():
            row = frame[frame["n_re"] == n_re].iloc[0]
            cells.append(f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
        lines.append(f"| {n_re} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def line_of(run: ReportRun) -> str:
    """A run of the chain as a row of the card."""
    cells = [
        run.row,
        run.identity[:10],
        f"{run.steps}{other_steps(run)}",
        "" if run.seconds is None else f"{run.seconds / 3600:.1f}",
        origin_text(run),
    ]
    return f"| {' | '.join(cells)} |"


def doubts_of(run: ReportRun) -> list[str]:
    """Why a run cannot be reproduced; empty if it can."""
    doubts = []
    if not run.commit or run.dirty is not False or run.commit_in_history is not True:
        doubts.append(f"{run.row}: {origin_text(run)}")
    if other_steps(run):
        doubts.append(f"{run.row}: {run.steps} steps{other_steps(run)}")
    return doubts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--anyway", action="store_true", help="ship runs that cannot be reproduced")
    options = parser.parse_args()
    runs_dir = options.runs_dir
    frames = load_study(runs_dir, "base", "cpu")
    records = [reported_run(line) for line in run_records(frames)]
    runs = records[: [run.row for run in records].index(SHIPPED) + 1]
    doubts = [line for run in runs for line in doubts_of(run)]
    if doubts and not options.anyway:
        sys.exit("\n".join([*doubts, "train these again, or ship them with --anyway"]))
    folder = runs_dir / runs[-1].identity[:10]
    weights = (folder / "model.safetensors").read_bytes()
    write_atomic(Path("models/base.safetensors"), weights)
    _, config, manifest = read_shipped(Path("models/base.safetensors"))
    columns = {}
    for label, where in (
        ("open test speakers", ("base", "cpu", SHIPPED)),
        ("prompts", ("fig2e", "mini", "base")),
    ):
        depths = curve(runs_dir, *where)
        if depths is not None:
            first = depths.iloc[0]
            label += f" ({first['n_mixtures']} mixtures, {first['n_speakers']} speakers)"
            columns[label] = depths
    model = config.model
    card = CARD.format(
        name=model.name,
        params=f"{frames.runs['params'].dropna().iloc[-1]:,.0f}",
        size=len(weights) / 1e6,
        n_fft=model.codec.n_fft,
        hop=model.codec.hop,
        rate=model.codec.sample_rate,
        codec=model.codec.kind,
        speakers=426,
        seconds=config.data.segment_seconds,
        manifest=manifest,
        batch=config.batch_size,
        lines="\n".join(map(line_of, runs)),
        seeds=config.seed,
        table=table(columns),
    )
    write_atomic(Path("models/README.md"), card)
    print(card)


if __name__ == "__main__":
    main()
