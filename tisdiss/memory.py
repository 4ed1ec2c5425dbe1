"""The former name of `tisdiss.machine.memory`, kept for one release."""

from tisdiss.machine.memory import keep_freed_memory

__all__ = ["keep_freed_memory"]
