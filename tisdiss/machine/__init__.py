"""What a process has to do with the machine it runs on: devices, memory, locks, ranks."""
