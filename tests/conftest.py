"""Models and corpora small enough that a test takes a fraction of a second."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tisdiss.config import (
    BlockConfig,
    DataConfig,
    GridConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
)
from tisdiss.data import Corpus, open_corpus

sys.path.insert(0, str(Path(__file__).parent / "shared"))  # modules that several tests use

TINY = BlockConfig(channels=8, attention_dim=8, n_heads=2, norm_groups=2, ffn_hidden=(6, 6))
TINY_GRID = GridConfig(hidden=5, n_heads=2, qk_size=130)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., ModelConfig]:
    """A model of 8 channels by its paper name, with changes to it, its blocks or its `grid`."""

    def make(
        name: str = "sep1x2-re1x3-l1+3", grid: dict[str, object] | None = None, **changes: object
    ) -> ModelConfig:
        block = {key: changes.pop(key) for key in list(changes) if key in BlockConfig.model_fields}
        base = ModelConfig(
            block=BlockConfig.model_validate(TINY.model_dump() | block),
            grid=GridConfig.model_validate(TINY_GRID.model_dump() | (grid or {})),
        )
        named = ModelConfig.from_name(name, base)
        return ModelConfig.model_validate(named.model_dump() | changes)

    return make


@pytest.fixture(scope="session")
def tiny_training(tiny: Callable[..., ModelConfig]) -> Callable[..., TrainConfig]:
    """A training of four epochs of two steps on generated sounds, with changes to it."""

    def make(**changes: object) -> TrainConfig:
        data = DataConfig(
            source="synthetic",
            segment_seconds=0.1,
            min_seconds=0.2,
            max_seconds=0.2,
            dynamic=True,
            train_mixtures=4,
            val_mixtures=2,
            test_mixtures=3,
        )
        settings = {
            "model": tiny("sep1x1-re1x1-l1"),
            "data": data,
            "optim": OptimConfig(warmup_steps=3),
            "batch_size": 2,
            "epochs": 4,
            "average_best": 2,
        }
        return TrainConfig.model_validate(settings | changes)

    return make


@pytest.fixture(scope="session")
def corpus(tiny_training: Callable[..., TrainConfig]) -> Corpus:
    """Generated sounds: 4 training mixtures an epoch, 2 for validation, 3 for test."""
    return open_corpus(tiny_training().data, 2, speech=None, cache=Path("unused"))


STUDY = """\
study: {name}
title: A question?
claim: Something holds.
base: sep1x2-re1x3-l1+3
rows:
{rows}
evaluate: {{n_re: 1..4}}
show: {{figure: depth_curve}}
"""


@pytest.fixture
def write_study(tmp_path):
    """Write a study with some rows (lines of YAML) and return its path."""

    def write(rows, name="demo", more=""):
        path = tmp_path / f"{name}.yaml"
        lines = "\n".join(f"  - {row}" for row in rows)
        path.write_text(STUDY.format(name=name, rows=lines) + more)
        return path

    return write


@pytest.fixture
def repository():
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the validation losses of the coming epochs."""

    def losses(*values: float) -> None:
        coming = iter(values)
        monkeypatch.setattr(
            "tisdiss.train.validate", lambda *_: {"val/loss": next(coming), "val/si_snri": 0.0}
        )

    return losses


@pytest.fixture(scope="module")
def open_browser(tmp_path_factory):
    """Open a headless browser; a test that asks for one is skipped where there is none."""
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    from chromium import Browser

    opened = []

    def opens(*flags):
        opened.append(Browser(tmp_path_factory.mktemp("profile"), *flags))
        return opened[-1]

    yield opens
    for browser in opened:
        browser.close()


@pytest.fixture(scope="module")
def browser(open_browser):
    """A headless browser for all tests of a module."""
    return open_browser()
