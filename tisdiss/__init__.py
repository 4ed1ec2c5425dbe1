"""TISDiSS: one speech-separation model whose depth, N_re, is chosen at inference.

import tisdiss
speakers = tisdiss.load("base").separate("talk.wav", n_re=3)  # (n_src, samples)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tisdiss.speech_separator import SpeechSeparator

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(source: str | Path = "base", **options: Any) -> SpeechSeparator:
    """The separator of a model: see `tisdiss.speech_separator.load`, which takes the options."""
    from importlib import import_module  # by name: no part of what trains and evaluates

    separator: SpeechSeparator = import_module("tisdiss.speech_separator").load(source, **options)
    return separator
