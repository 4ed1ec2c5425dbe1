"""Optional packages: the extra that brings each, and the command that installs it.

The core separates recordings and profiles models; pyproject.toml has what each extra installs.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

EXTRAS = {
    "studies": (
        *("mlflow", "optuna", "sqlalchemy", "pandas", "pyarrow", "scipy"),
        *("matplotlib", "seaborn", "torchmetrics", "jinja2"),
    ),
    "quality": ("pesq", "pystoi", "speechmos", "onnxruntime"),
    "rooms": ("pyroomacoustics",),
    "slurm": ("submitit",),
    "web": ("starlette", "uvicorn"),
    "export": ("onnx", "onnxruntime"),
    "notebook": ("nbformat", "nbclient", "ipykernel", "jupyter_client"),
}
"""The modules that each extra brings and that are imported by name."""


def need(extra: str, instead: str = "") -> None:
    """Raise ValueError if a module of the extra is missing; `instead` is another way out."""
    need_modules(EXTRAS[extra], instead)


def need_modules(modules: Iterable[str], instead: str = "") -> None:
    """The same for some modules of extras."""
    for module in modules:
        if not is_installed(module):
            raise ValueError(
                (missing(module) or f"this needs {module}") + (f", or {instead}" if instead else "")
            )


def missing(module: str) -> str | None:
    """The advice for an import that failed; None if no extra brings the module."""
    package = module.partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if package in modules), None)
    return extra and _advice(package, extra)


def is_installed(module: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(module) is not None


def _advice(module: str, extra: str) -> str:
    return f"this needs {module}: pip install 'tisdiss[{extra}]'"
