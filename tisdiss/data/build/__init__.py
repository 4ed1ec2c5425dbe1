"""The corpora of the paper, made from their sources as their authors' scripts make them."""
