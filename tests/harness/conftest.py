"""Studies as text, corpora without sound, and a training that only pretends."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.harness.runner import Runner
from tisdiss.records.identity import sha256_of
from tisdiss.study.load import load_study


class Manifest(list):
    """Three mixtures that only have a hash."""

    def __init__(self, *parts):
        super().__init__(range(3))
        self.manifest_hash = sha256_of(parts)


class SilentCorpora(Corpora):
    """Corpora whose manifests follow from their config, without any sound."""

    def open(self, data, n_src):
        def manifest(*parts):
            return Manifest(data.source, data.seed, *parts)

        voices = [SimpleNamespace(speaker="a"), SimpleNamespace(speaker="b")]
        source = SimpleNamespace(name=data.source, note="", split=lambda split: voices)
        return SimpleNamespace(
            source=source,
            train=manifest("train", data.train_mixtures),
            val=manifest("val", data.val_mixtures),
            test=manifest("test", data.test_mixtures),
            manifest_hash=sha256_of(data.model_dump(mode="json")),
        )


@pytest.fixture
def corpora():
    return SilentCorpora()


def pretend_to_train(config, corpus, folder, *, parent, on_log, **options):
    """Three logged steps and a file of weights."""
    for step in (1, 2, 3):
        metrics = {"train/loss": 1.0 / step, "train/lr": config.optim.lr}
        on_log({"kind": "train", "step": step, "epoch": 0, "metrics": metrics})
    (folder / "model.safetensors").write_bytes(f"from {parent}".encode())
    return SimpleNamespace(steps=3, epochs=1, best_val=-1.0, seconds=0.1, stopped="epochs")


def pretend_to_evaluate(model_file, corpus, config, folder, **options):
    """Two mixtures of two speakers; SI-SNRi is N_re, SDRi is N_re + 0.5."""
    assert model_file.is_file()
    rows = [
        {"mixture_id": f"test-{m}", "slot": s, "n_re": n, "si_snri": float(n), "sdri": n + 0.5}
        for m in range(2)
        for s in range(2)
        for n in config.n_re or (0,)
    ]
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
    audio = folder / "audio" / "test-0"
    audio.mkdir(parents=True, exist_ok=True)
    (audio / "mixture.wav").write_bytes(b"RIFF")


@pytest.fixture
def pretend():
    """The pretended training and evaluation, for tests that go wrong on purpose around them."""
    return SimpleNamespace(train=pretend_to_train, evaluate=pretend_to_evaluate)


@pytest.fixture
def make_runner(tmp_path, corpora):
    """A runner with pretended training, whose lines are kept in `runner.said`."""

    def make(**options):
        said = []
        defaults = {
            "runs_dir": tmp_path / "runs",
            "root": tmp_path,
            "corpora": corpora,
            "train": pretend_to_train,
            "evaluate": pretend_to_evaluate,
            "say": said.append,
        }
        runner = Runner(**{**defaults, **options})
        object.__setattr__(runner, "said", said)
        return runner

    return make


@pytest.fixture
def make_plan(write_study, corpora, tmp_path):
    def make(lines, profile="smoke", more="", **options):
        study = load_study(write_study(lines, more=more))
        return plan(
            [study], profile, runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path, **options
        )

    return make
