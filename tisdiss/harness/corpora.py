"""The corpora of a plan, each opened once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tisdiss.config import DataConfig
from tisdiss.machine.folders import CACHE
from tisdiss.records.run_record import Mixtures, TrainedData

if TYPE_CHECKING:
    from tisdiss.data import Corpus


@dataclass
class Corpora:
    """Opens the corpora of configs and keeps them. Paths are not part of any config."""

    cache: Path = CACHE
    speech: Path | None = None
    """The folder of speakers for `data.source: folder`; None: the environment variable SPEECH."""
    _opened: dict[tuple[str, int], Corpus] = field(default_factory=dict, repr=False)

    def open(self, data: DataConfig, n_src: int) -> Corpus:
        """The source with its training, validation and test mixtures."""
        key = (data.model_dump_json(), n_src)
        if key not in self._opened:
            from tisdiss.data import open_corpus

            self._opened[key] = open_corpus(data, n_src, speech=self.speech, cache=self.cache)
        return self._opened[key]


def trained_data(corpus: Corpus) -> TrainedData:
    """The record of the mixtures that a model is trained and selected on."""
    train, val = (
        Mixtures(manifest=one.manifest_hash, mixtures=len(one))
        for one in (corpus.train, corpus.val)
    )
    return TrainedData(train=train, val=val)
