"""Builds the paper's corpora from their sources, as their authors' scripts do."""
