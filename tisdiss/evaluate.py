"""Scores of one model at many depths, from one pass per mixture.

The output at N_re = n is the n-th repetition of any deeper pass, so a whole curve of Fig. 2 costs
as much as its deepest point.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tisdiss.checkpoint import load_model
from tisdiss.config import EvalConfig
from tisdiss.data.corpus import Corpus
from tisdiss.data.mixture import Example
from tisdiss.dial import settled_by
from tisdiss.machine.device import set_precision
from tisdiss.machine.extras import need_modules
from tisdiss.metrics import improvements
from tisdiss.records import names
from tisdiss.records.files import write_atomic
from tisdiss.records.run_record import Logged
from tisdiss.wave import write_wav
from tisdiss.whole import AnyNet

HEARD_DEPTHS = range(11)
"""Depths whose estimates are kept as audio if evaluated; 0 is a model without reconstructor."""

HEARD_MIXTURES = 3
"""How many mixtures are kept as audio."""

JOURNAL = "scores.jsonl"
"""The file with a line of scores per mixture, from which an interrupted evaluation resumes."""

Row = dict[str, Any]


def evaluate(
    model_file: Path,
    corpus: Corpus,
    config: EvalConfig,
    folder: Path,
    *,
    device: str = "cpu",
    on_log: Callable[[Logged], None] = lambda record: None,
    audio: int = HEARD_MIXTURES,
) -> None:
    """Write scores.parquet, evaluation.json and the audio of `audio` mixtures into `folder`.

    The table has one row per mixture, depth and speaker; scores are in dB. Mixtures are evaluated
    whole, one at a time. Those in the journal of an earlier, interrupted call are not computed
    again, and their seconds are counted; the caller removes the journal when all is kept. The
    mixtures kept as audio are the same for every model on the corpus (`to_hear`).
    """
    set_precision("float32")  # a training in this process may have set another
    model = load_model(model_file, device)
    corpus.check_rate(model.config)
    need_modules(config.packages)
    config.check_quality(model.config.sample_rate)
    mixtures = getattr(corpus, config.split)
    count = min(config.mixtures or len(mixtures), len(mixtures))
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / JOURNAL
    done, pace = _read_journal(journal), _Pace()
    with journal.open("a") as file:
        for i in range(count):
            began, example = time.monotonic(), mixtures[i]
            if example.id in done:
                continue
            rows = score(model, example, config)
            scored = _Scored(rows, time.monotonic() - began)
            file.write(json.dumps({"id": example.id, **scored._asdict()}) + "\n")
            file.flush()
            done[example.id] = scored
            pace.mixture_done()
            on_log(_progress(i + 1, count, rows, pace.seconds))
    began, all_scored = time.monotonic(), [done[mixtures.mixtures[i].id] for i in range(count)]
    rows = [row for scored in all_scored for row in scored.rows]
    audio_ids = to_hear(rows, audio)
    for example in (mixtures[i] for i in range(count) if mixtures.mixtures[i].id in audio_ids):
        estimates = estimate(model, example, config)
        write_audio(folder / "audio" / example.id, example, estimates, corpus)
    write_table(folder / "scores.parquet", rows)
    seconds = sum(scored.seconds for scored in all_scored) + time.monotonic() - began
    about = {"model": model.config.name, "mixtures": count, "seconds": seconds}
    write_atomic(folder / "evaluation.json", json.dumps(about, indent=1))


@torch.inference_mode()
def score(model: AnyNet, example: Example, config: EvalConfig) -> list[Row]:
    """Rows of one mixture at every depth."""
    device = next(model.parameters()).device
    mixture, sources = example.mixture.to(device)[None], example.sources.to(device)[None]
    depths = list(outputs(model, mixture, config))
    settled = _settled(depths)
    scores = improvements(
        torch.stack([output for *_, output in depths]),
        sources,
        mixture,
        quality=config.quality,
        rate=model.config.sample_rate,
    )
    return [
        {
            "mixture_id": example.id,
            "slot": slot,
            "speaker": example.speakers[slot],
            "sex": example.sexes[slot],
            "n_sep": n_sep,
            "n_re": n_re,
            "samples": example.samples,
            names.SETTLED_BY: settled.get(n_re),
        }
        | {name: value[k, 0, slot].item() for name, value in scores.items()}
        for k, (n_sep, n_re, _) in enumerate(depths)
        for slot in range(len(example.speakers))
    ]


def _settled(depths: Sequence[tuple[int, int, Tensor]]) -> dict[int, float]:
    """`names.SETTLED_BY` by N_re, for the depths whose pass before was evaluated, too."""
    passes = pairwise((n_re, output) for _, n_re, output in depths)
    return {
        n_re: settled_by(before, after) for (k, before), (n_re, after) in passes if n_re == k + 1
    }


@torch.inference_mode()
def estimate(model: AnyNet, example: Example, config: EvalConfig) -> dict[int, Tensor]:
    """Estimates (n_src, samples) of one mixture by N_re."""
    mixture = example.mixture.to(next(model.parameters()).device)[None]
    return {n_re: output[0].cpu() for _, n_re, output in outputs(model, mixture, config)}


def to_hear(rows: Sequence[Row], count: int) -> set[str]:
    """Ids of the `count` longest mixtures, one per set of speakers while there are enough sets.

    The choice depends only on the test set, so that all models on it can be compared by ear.
    """
    samples = {row["mixture_id"]: row["samples"] for row in rows}
    speakers: dict[str, set[str]] = {mixture: set() for mixture in samples}
    for row in rows:
        speakers[row["mixture_id"]].add(row["speaker"])
    by_length = sorted(samples, key=lambda mixture: -samples[mixture])
    longest_of_set = {frozenset(speakers[mixture]): mixture for mixture in reversed(by_length)}
    first = sorted(longest_of_set.values(), key=by_length.index)
    return set([*first, *(m for m in by_length if m not in first)][:count])


def outputs(
    model: AnyNet, mixture: Tensor, config: EvalConfig
) -> Iterator[tuple[int, int, Tensor]]:
    """(n_sep, n_re, estimates) at each depth of `config`; only one without early split."""
    n_sep = config.n_sep or model.config.n_sep
    if not model.config.dial:
        yield n_sep, 0, model(mixture, n_sep=n_sep)
        return
    depths = sorted(set(config.n_re))
    yield from (
        (n_sep, n_re, output)
        for n_re, output in zip(
            depths, model.repetitions(mixture, depths, n_sep=n_sep), strict=True
        )
    )


def write_audio(
    folder: Path, example: Example, estimates: dict[int, Tensor], corpus: Corpus
) -> None:
    """Write the mixture, its sources and the estimates at `HEARD_DEPTHS` as WAV files."""
    rate = corpus.source.sample_rate
    write_wav(folder / "mixture.wav", example.mixture, rate)
    for j, source in enumerate(example.sources, start=1):
        write_wav(folder / f"source{j}.wav", source, rate)
    for n_re in sorted(set(HEARD_DEPTHS) & set(estimates)):
        for j, estimate in enumerate(estimates[n_re], start=1):
            write_wav(folder / f"re{n_re}_est{j}.wav", estimate, rate)


def write_table(path: Path, rows: list[Row]) -> None:
    """Write rows as one Parquet file, whole or not at all."""
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    write_atomic(path, sink.getvalue().to_pybytes())


class _Scored(NamedTuple):
    """A line of the journal, without the mixture's id."""

    rows: list[Row]
    seconds: float = 0.0
    """The time it took; lines of earlier versions have none."""


def _read_journal(path: Path) -> dict[str, _Scored]:
    """Scores by mixture; also removes a last line that an interruption cut short from the file."""
    if not path.is_file():
        return {}
    whole = path.read_bytes().rpartition(b"\n")[0]
    write_atomic(path, whole + b"\n" if whole else b"")
    entries = [json.loads(line) for line in whole.splitlines()]
    return {entry.pop("id"): _Scored(**entry) for entry in entries}


class _Pace:
    """Seconds per mixture, without the first, which also loads libraries and allocates memory."""

    def __init__(self) -> None:
        self.since, self.done = 0.0, -1

    def mixture_done(self) -> None:
        self.done += 1
        if not self.done:
            self.since = time.monotonic()

    @property
    def seconds(self) -> float | None:
        return (time.monotonic() - self.since) / self.done if self.done > 0 else None


def _progress(done: int, count: int, rows: list[Row], pace: float | None) -> Logged:
    """The log record after a mixture; `pace` is in seconds per mixture, None if unknown."""
    time_left = {} if pace is None else {names.SECONDS_LEFT: pace * (count - done)}
    last = [row[names.SI_SNRI] for row in rows if row["n_re"] == rows[-1]["n_re"]]
    return {
        "kind": names.EVENT_SCORED,
        "step": done,
        "epoch": 0,
        "metrics": {
            names.SCORED_MIXTURES: float(count),
            names.SCORED_SI_SNRI: sum(last) / len(last),
            **time_left,
        },
    }
