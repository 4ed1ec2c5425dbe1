"""The former name of `tisdiss.machine.memory`, kept for one release."""

from tisdiss.machine.memory import keep_freed_memory, machine_memory, memory_limits, peak_growth

__all__ = ["keep_freed_memory", "machine_memory", "memory_limits", "peak_growth"]
