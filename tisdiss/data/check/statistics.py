"""`tisdiss data stats`: statistics of a corpus."""

from math import nan
from pathlib import Path

from tisdiss.data.check.finding import mean
from tisdiss.data.check.part import Place, look
from tisdiss.data.layouts import layout_of, stems
from tisdiss.data.source import SPLITS, Source
from tisdiss.machine.progress import Progress, silent
from tisdiss.records.names import SDR, SI_SNR


def stats(
    corpus: str,
    root: Path,
    *,
    condition: str | None = None,
    sample_rate: int = 8000,
    n_src: int = 2,
    mixtures: int | None = 100,
    on_progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """Per part: mixtures, speakers, hours; least, mean and most seconds; SI-SNR and SDR in dB.

    SI-SNR and SDR are those of the unprocessed mixture as an estimate of each source.
    """
    layout = layout_of(corpus)
    condition = layout.condition(condition)
    home = layout.find(root, sample_rate=sample_rate, n_src=n_src, condition=condition)
    roles, rows = layout.roles(condition, n_src), {}
    place = Place(home, layout, roles, sample_rate, n_src)
    for part in layout.parts:
        names = stems(home / part.folder / roles.mixture)
        if not names:
            continue
        looked = look(place, part, names, mixtures=mixtures, on_progress=on_progress)
        mixtures_seen = [h for key, h in looked.headers.items() if key.startswith(roles.mixture)]
        seconds = [h.samples / h.rate for h in mixtures_seen] or [nan]
        rows[part.folder] = {
            "mixtures": len(names),
            "speakers": len({s for name in names for s in layout.speakers(name)}),
            "hours": sum(seconds) / 3600,
            "min_s": min(seconds),
            "mean_s": mean(seconds),
            "max_s": max(seconds),
            SI_SNR: mean([v for m in looked.measured.values() for v in m.si_snr]),
            SDR: mean([v for m in looked.measured.values() for v in m.sdr]),
        }
    return rows


def source_stats(source: Source) -> dict[str, dict[str, float]]:
    """Per split: utterances, speakers, hours and seconds."""
    rows = {}
    for split in SPLITS:
        utterances = source.split(split)
        seconds = [u.samples / source.sample_rate for u in utterances] or [nan]
        rows[split] = {
            "utterances": len(utterances),
            "speakers": len({u.speaker for u in utterances}),
            "hours": sum(seconds) / 3600,
            "min_s": min(seconds),
            "mean_s": mean(seconds),
            "max_s": max(seconds),
        }
    return rows
