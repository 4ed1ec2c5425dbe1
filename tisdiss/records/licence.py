"""Licences of speech and noise: whether sounds may be passed on, and with which notice."""

from tisdiss.speech_sources import NOISE_FOLDER, SOURCES, UNKNOWN, Licence


def licences(source: str | None, condition: str | None, noise: str | None) -> list[Licence]:
    """The licences of the speech and noise in a corpus's mixtures.

    Noise that is not recorded is made from the corpus's own speech and has no licence of its own.
    """
    entry = SOURCES.get(source or "")
    speech = entry.licence if entry else UNKNOWN
    if condition not in ("noisy", "noisy-reverberant"):
        return [speech]
    if entry and entry.stored:
        return [speech, entry.noise] if entry.noise else [speech]
    return [speech, NOISE_FOLDER] if noise == "folder" else [speech]
