"""The former name of `tisdiss.released`, kept for one release."""

from tisdiss.released import build, load, load_released

__all__ = ["build", "load", "load_released"]
