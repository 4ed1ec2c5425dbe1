"""A model in MLflow's format: what `mlflow.pyfunc.load_model` reads, and what it then computes.

The weights stay a safetensors file, and this module is what loads it: nothing is pickled. `predict`
takes and returns arrays at the model's own rate; its params `n_re` and `n_sep` are the depth.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tisdiss import __version__
from tisdiss.config import AnyModel
from tisdiss.contract import WHOLE_MODELS

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray

    from tisdiss.whole import AnyNet

EXAMPLE_SAMPLES = 800
"""Length of the input example, unless the model needs more."""
STEPS = 256
"""The example's values are multiples of 1/256, which are short in JSON and exact as float32."""


class Predictor:
    """The model behind `predict`."""

    def __init__(self, model: AnyNet) -> None:
        self.model = model

    def predict(
        self, mixture: NDArray[np.float32], params: Mapping[str, int] | None = None
    ) -> NDArray[np.float32]:
        """Estimates (batch, n_src, samples) of mixtures (batch, samples), at the model's rate.

        A depth that `params` does not name is the trained one. Raises ValueError for a depth that
        the model cannot run.
        """
        import torch

        depth = params or {}
        with torch.inference_mode():
            batch = torch.tensor(mixture, dtype=torch.float32)
            output = self.model(batch, n_sep=depth.get("n_sep"), n_re=depth.get("n_re"))
        estimates: NDArray[np.float32] = output.numpy()
        return estimates


def _load_pyfunc(path: str) -> Predictor:
    """MLflow's hook: the model of a file of weights."""
    from tisdiss.checkpoint import load_model

    return Predictor(load_model(Path(path)))


def describe(folder: Path, name: str, weights: Path, config: AnyModel, model: LoggedModel) -> None:
    """Write MLflow's files of a model into a new folder, with a link `name` to the weights."""
    pyfunc = _pyfunc()
    from mlflow.models import Model

    card = Model(model.artifact_location, run_id=model.source_run_id, model_id=model.model_id)
    pyfunc.save_model(
        folder,
        loader_module=__name__,
        mlflow_model=card,
        signature=signature(config),
        input_example=example(config),
        pip_requirements=requirements(config),
    )
    (folder / name).symlink_to(weights.resolve())
    card.flavors[pyfunc.FLAVOR_NAME][pyfunc.DATA] = name
    card.model_size_bytes = (card.model_size_bytes or 0) + weights.stat().st_size
    card.save(folder / "MLmodel")


def _pyfunc() -> ModuleType:
    """MLflow's module, which warns of its own type hints when it is first imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyfunc = import_module("mlflow.pyfunc")  # mlflow's attribute of that name is lazy
    # It warns that it found no pip, which uv's environments do not have.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    return pyfunc


def signature(config: AnyModel) -> ModelSignature:
    """Mixtures in, estimates out, and the depth as params with the trained one as default."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    number = np.dtype(np.float32)
    depth = {"n_re": config.n_re, "n_sep": config.n_sep}
    return ModelSignature(
        Schema([TensorSpec(number, (-1, -1))]),
        Schema([TensorSpec(number, (-1, config.n_src, -1))]),
        ParamSchema([ParamSpec(name, DataType.long, value) for name, value in depth.items()]),
    )


def example(config: AnyModel) -> NDArray[np.float32]:
    """A short mixture of two tones."""
    import numpy as np

    samples = max(EXAMPLE_SAMPLES, config.least_samples)
    phase = 2 * math.pi * np.arange(samples) / config.sample_rate
    tones = 0.3 * np.sin(220 * phase) + 0.2 * np.sin(990 * phase)
    return (np.round(STEPS * tones) / STEPS).astype(np.float32)[None]


def requirements(config: AnyModel) -> list[str]:
    """The packages that the model needs beside MLflow: this one and that of a whole model."""
    package = (WHOLE_MODELS.package(config.architecture) or "").split()
    others = ["==".join(package)] if len(package) == 2 else []  # a name and a version
    return [f"tisdiss=={__version__}", *others]
