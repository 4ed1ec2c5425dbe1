"""The former name of `tisdiss.released`, kept for one release."""

from tisdiss.released import build, export, load, load_released, load_with_note, model_config

__all__ = ["build", "export", "load", "load_released", "load_with_note", "model_config"]
