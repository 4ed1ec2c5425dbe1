"""Data that training, harness and analysis exchange: names, identities, typed files.

Nothing here imports any of the three."""
