"""Checks and statistics of folders of speech or mixtures."""
