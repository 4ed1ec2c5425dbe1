"""Ship a trained model: copy its weights, write its model card.

    python scripts/ship_model.py ROW [--runs-dir runs] [--anyway]

ROW is a row of study `model` (profile cpu), whose finished runs are read, and, if they exist, the
scores of these weights on prompts (row `base` of `fig2e` at profile mini). Scores on the card come
from scores.parquet, other numbers from the records of the runs. A run that cannot be reproduced,
because of changed files, a lost commit or other steps than its settings have, is refused without
`--anyway`; the card then says so.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tisdiss.analysis.breakdown import by_input_level, by_sex
from tisdiss.analysis.frames import load_study, run_records
from tisdiss.analysis.provenance import origin_text, other_steps, reported_run
from tisdiss.analysis.recipe import batch, mixing
from tisdiss.analysis.stats import depth_curve
from tisdiss.records.files import write_atomic
from tisdiss.records.identity import short
from tisdiss.records.report_record import ReportRun
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.shipped_weights import read_shipped

STUDY, PROFILE = "model", "cpu"
WEIGHTS = Path("models/base.safetensors")

CARD = """\
# base.safetensors

{name}: {params} parameters, {size:.1f} MB, STFT {n_fft}/{hop} at {rate} Hz, {codec} codec
{mask}. Made by `make model` (study `model`, profile `cpu`) in the chain of runs below.

| | |
|---|---|
| speech | training speakers of the four corpora below |
| data manifest | `{manifest}` |
| seed | {seed} |

Each run starts from the weights of the run before:

| row | run | updates | batch | mixing | hours | code |
|---|---|---|---|---|--:|---|
{lines}

SI-SNRi [dB] by N_re at inference, mean and 95 % interval:

{table}

The same for the open test speakers: mixtures of two sexes and of one, and voices by their level in
the mixture (five equal parts; a heading is the median SI-SNR of a part's voices in the mixture):

{parts}

It is a small model, trained for hours on a CPU: a starting point for fine-tuning and for listening,
far below the scores that the paper reports for its size.

## Training speech

Excerpts at 8 kHz of LibriSpeech (© 2014 Vassil Panayotov, CC BY 4.0, openslr.org/12),
speechocean762 (Zhang et al., Interspeech 2021, CC BY 4.0, openslr.org/101), CSTR VCTK Corpus
(University of Edinburgh, CC BY 4.0) and AISHELL-3 (Shi et al., 2020, Apache-2.0,
openslr.org/93). Changed: resampled, trimmed, levelled, mixed.
"""


def scores_of(runs_dir: Path, study: str, profile: str, row: str) -> pd.DataFrame:
    """The row's scores; empty if it was not scored."""
    try:
        frames = load_study(runs_dir, study, profile)
    except ValueError:
        return pd.DataFrame()
    return frames.scores[frames.scores["row"] == row]


def columns_of(sets: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Mean and interval by N_re, as text, of each test set."""
    columns = {}
    for label, scores in sets.items():
        curve = depth_curve(scores, rng=np.random.default_rng(0))
        first = curve.iloc[0]
        heading = f"{label} ({first['n_mixtures']} mixtures, {first['n_speakers']} speakers)"
        columns[heading] = curve.set_index("n_re").apply(_interval, axis=1)
    return columns


def _interval(line: pd.Series) -> str:
    return f"{line['mean']:.2f} ({line['low']:.2f} to {line['high']:.2f})"


def parts_of(scores: pd.DataFrame) -> dict[str, pd.Series]:
    """The mean by N_re, as text, of each kind of mixture and level of voice."""
    columns: dict[str, dict[int, str]] = {}
    for n_re in sorted(scores["n_re"].unique()):
        at = scores.assign(n_re_train=n_re)
        sexes, levels = (
            part(at, rng=np.random.default_rng(0)) for part in (by_sex, by_input_level)
        )
        named = [(line["group"], line["mean"]) for line in sexes.to_dict("records")]
        named += [(f"{line['level']:+.1f} dB", line["mean"]) for line in levels.to_dict("records")]
        for name, mean in named:
            columns.setdefault(name, {})[n_re] = f"{mean:.2f}"
    return {name: pd.Series(column) for name, column in columns.items()}


def table(columns: dict[str, pd.Series]) -> str:
    """A Markdown table with a line per depth."""
    lines = ["| N_re | " + " | ".join(columns) + " |", "|--:|" + "--:|" * len(columns)]
    depths = sorted(set.union(*(set(column.index) for column in columns.values())))
    for n_re in depths:
        cells = [str(column.get(n_re, "")) for column in columns.values()]
        lines.append(f"| {n_re} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def line_of(run: ReportRun) -> str:
    """A run of the chain as a row of the card."""
    cells = [
        run.row,
        short(run.identity),
        f"{run.steps}{other_steps(run)}",
        batch(run),
        mixing(run),
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
    parser.add_argument("row")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--anyway", action="store_true", help="ship runs that cannot be reproduced")
    options = parser.parse_args()
    runs_dir = options.runs_dir
    frames = load_study(runs_dir, STUDY, PROFILE)
    records = [reported_run(line) for line in run_records(frames)]
    runs = records[: [run.row for run in records].index(options.row) + 1]
    doubts = [line for run in runs for line in doubts_of(run)]
    if doubts and not options.anyway:
        sys.exit("\n".join([*doubts, "train these again, or ship them with --anyway"]))
    weights = RunFolder.of(runs_dir, runs[-1].identity).model_file.read_bytes()
    write_atomic(WEIGHTS, weights)
    _, config, manifest = read_shipped(WEIGHTS)
    open_speakers = scores_of(runs_dir, STUDY, PROFILE, options.row)
    sets = {"open test speakers": open_speakers}
    prompts = scores_of(runs_dir, "fig2e", "mini", "base")
    if not prompts.empty and prompts["identity"].iloc[0] == runs[-1].identity:
        sets["prompts"] = prompts
    model = config.model
    card = CARD.format(
        name=model.name,
        params=f"{frames.runs['params'].dropna().iloc[-1]:,.0f}",
        size=len(weights) / 1e6,
        n_fft=model.codec.n_fft,
        hop=model.codec.hop,
        rate=model.codec.sample_rate,
        codec=model.codec.kind,
        mask="with a mask" if model.mask else "without a mask",
        manifest=manifest,
        lines="\n".join(map(line_of, runs)),
        seed=config.seed,
        table=table(columns_of(sets)),
        parts=table(parts_of(open_speakers)),
    )
    write_atomic(Path("models/README.md"), card)
    print(card)


if __name__ == "__main__":
    main()
