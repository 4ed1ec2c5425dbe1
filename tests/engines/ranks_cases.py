"""What torchrun runs for test_ranks.py: the same steps by two ranks and by each alone."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch

from tisdiss.config import TrainConfig
from tisdiss.data.corpus import open_corpus
from tisdiss.machine.ranks import ALONE, joined, ranks
from tisdiss.study.overrides import override
from tisdiss.train import start, train, train_step, training_batch, validate

TINY = {
    "model.block.channels": 8,
    "model.block.attention_dim": 8,
    "model.block.n_heads": 2,
    "model.block.norm_groups": 2,
    "model.block.ffn_hidden": [8, 8],
    "data.source": "synthetic",
    "data.segment_seconds": 0.25,
    "data.min_seconds": 0.25,
    "data.max_seconds": 0.25,
    "data.train_mixtures": 8,
    "data.val_mixtures": 3,
    "data.test_mixtures": 2,
    "data.dynamic": True,
    "optim.warmup_steps": 50,
    "batch_size": 4,
    "steps_per_epoch": 3,
    "epochs": 2,
    "average_best": 2,
}
CASES = {
    "re1x3": "sep1x2-re1x3-l1+3",
    "re1x1": "sep1x1-re1x1-l1",
}
STEPS = 6


def largest_difference(ours, theirs):
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


def steps_differ(config, corpus):
    """Weights after some steps of both ranks, and of this rank alone with the whole batch.

    In double precision: AdamW divides gradients that are zero but for rounding by their own size,
    so that in single precision the order of a sum decides where such weights go.
    """
    states = [start(config, None, "cpu") for _ in range(2)]
    for state, peers in zip(states, (ranks(), ALONE), strict=True):
        state.model.double()
        for step in range(STEPS):
            batch = training_batch(corpus, config, 0, step, "cpu", peers)
            train_step(state, *(tensor.double() for tensor in batch), config, peers)
    return largest_difference(*(list(state.model.parameters()) for state in states))


def gradients_differ(config, corpus):
    """Of the first step, in single precision, relative to the largest."""
    gradients = []
    for peers in (ranks(), ALONE):
        state = start(config, None, "cpu")
        batch = training_batch(corpus, config, 0, 0, "cpu", peers)
        train_step(state, *batch, config, peers)
        gradients.append([p.grad for p in state.model.parameters() if p.grad is not None])
    return largest_difference(*gradients) / max(float(g.abs().max()) for g in gradients[1])


def validation_differs(config, corpus):
    model = start(config, None, "cpu").model
    together, alone = (validate(model, corpus, config, "cpu", p) for p in (ranks(), ALONE))
    return max(abs(together[key] / alone[key] - 1) for key in alone)


def trainings_differ(config, corpus, folder):
    """The same training twice by both ranks, the second stopped and resumed."""
    train(config, corpus, folder / "whole")
    train(config, corpus, folder / "parts", stop=lambda: ranks().rank == 1)  # after one step
    train(config, corpus, folder / "parts")
    from tisdiss.checkpoint import read_model_file

    ranks().any(False)  # the first rank has written
    one, other = (
        read_model_file(folder / name / "model.safetensors")[0] for name in ("whole", "parts")
    )
    return largest_difference([one[k] for k in one], [other[k] for k in one])


def main(folder):
    torch.set_num_threads(1)
    with joined("cpu"):
        differences = {}
        for name, model in CASES.items():
            config = override(TrainConfig(), TINY)
            config = config.model_copy(update={"model": config.model.renamed(model)})
            cache = folder / f"cache{ranks().rank}"
            corpus = open_corpus(config.data, 2, speech=None, cache=cache)
            differences[f"weights-{name}"] = steps_differ(config, corpus)
            differences[f"gradients-{name}"] = gradients_differ(config, corpus)
        differences["validation"] = validation_differs(config, corpus)
        differences["resumed"] = trainings_differ(config, corpus, folder)
        if ranks().first:
            for name, value in differences.items():
                print(f"case {name} {value}", flush=True)


def lose(command):
    """Start torchrun and kill its second rank once the training has gone on for a while."""
    process = subprocess.Popen(command)
    runs_dir = Path(command[command.index("--runs-dir") + 1])
    folder = next(runs_dir.glob("?" * 10))
    journal = folder / "events.jsonl"
    while process.poll() is None:
        if journal.is_file() and journal.read_text().count('"kind": "epoch"') > 3:
            psutil.Process(process.pid).children()[1].kill()
            (folder / "lost").write_text(str(time.monotonic()))
            break
        time.sleep(0.05)
    sys.exit(process.wait())


if __name__ == "__main__":
    if sys.argv[1] == "lose":
        lose(sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
