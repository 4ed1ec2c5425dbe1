"""A page on this machine: separate a recording, hear every voice at every depth."""
