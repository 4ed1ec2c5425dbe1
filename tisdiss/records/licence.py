"""Licences of speech and noise: whether sounds may be passed on, and under which notice."""

from tisdiss.speech_sources import NOISE_FOLDER, SOURCES, UNKNOWN, Licence


def licences(source: str | None, condition: str | None, noise: str | None) -> list[Licence]:
    """Of all that is heard in the mixtures of a corpus; other noise is made of its own speech."""
    known = SOURCES.get(source or "")
    found = [known.licence if known else UNKNOWN]
    if condition in ("noisy", "noisy-reverberant"):
        if known and known.stored:
            found += [known.noise] if known.noise else []
        elif noise == "folder":
            found.append(NOISE_FOLDER)
    return found
