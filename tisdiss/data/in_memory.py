"""A source of recordings that are arrays in memory, such as generated sounds."""

from collections.abc import Iterable, Mapping

import numpy as np

from tisdiss.data.audio import quantise
from tisdiss.data.decoded import Entry, Store, digest
from tisdiss.data.source import Listed, Source, Tally, build


def in_memory(
    name: str,
    recordings: Iterable[tuple[str, np.ndarray]],
    *,
    sample_rate: int,
    sexes: Mapping[str, str] | None = None,
    note: str = "",
) -> Source:
    """The source of (id, samples) pairs; an id is "speaker/recording".

    Samples are mono, floating point, full scale at 1. `sexes` are "f" or "m" by speaker. `note` is
    printed with every figure. ValueError if no recording can be used.
    """
    entries: dict[str, Entry] = {}
    sounds, offset = [], 0
    for recording, samples in recordings:
        pcm, exponent = quantise(samples)
        entries[recording] = Entry(offset, len(pcm), exponent, digest(pcm, exponent))
        sounds.append(pcm)
        offset += len(pcm)
    speakers = {recording: recording.partition("/")[0] for recording in entries}
    listed = [Listed(r, who, sex=(sexes or {}).get(who, "")) for r, who in speakers.items()]
    store = Store(np.concatenate(sounds), entries)
    return build(name, listed, store, Tally(), sample_rate=sample_rate, note=note)
