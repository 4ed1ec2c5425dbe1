"""Speech sources, mixtures of them, and the corpora made of mixtures."""

from tisdiss.data.corpus import Corpus, open_corpus
from tisdiss.data.dynamic import DynamicMixtures
from tisdiss.data.mixed_sets import DynamicStored, StoredMixtures
from tisdiss.data.mixture import Example, Mixture, MixtureSet, fixed_set
from tisdiss.data.source import Source, Utterance
from tisdiss.data.speakers import folder
from tisdiss.data.synthetic import synthetic

__all__ = [
    "Corpus",
    "DynamicMixtures",
    "DynamicStored",
    "Example",
    "Mixture",
    "MixtureSet",
    "Source",
    "StoredMixtures",
    "Utterance",
    "fixed_set",
    "folder",
    "open_corpus",
    "synthetic",
]
