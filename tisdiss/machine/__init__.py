"""The machine that a process runs on: devices, memory, locks, ranks."""
