"""Licences of speech and noise: whether sounds may be passed on, and under which notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """Whether sounds may be passed on, and the notice that is shown beside them."""

    may_be_passed_on: bool
    said: str


_OWN = "of your own, whose licence is not known here: may not be passed on."
_UNKNOWN = Licence(False, "A corpus of unknown source: may not be passed on.")
_WSJ0 = "(LDC licence): may not be passed on."

LICENCES = {
    "synthetic": Licence(True, "Generated sounds, no speech: free to pass on."),
    "prompts": Licence(
        True,
        "Studio prompts of Debian's asterisk-core-sounds (Allison Smith, June Wallack, Carlo Flora "
        "under CC BY-SA 3.0; Maxim Topal, ivrvoice.ru, under CC BY 3.0) and of "
        "asterisk-prompt-it-menardi, made by Marco Menardi and Paola Dal Zot, "
        "http://www.voip.ammdomus.it (CC BY-SA 3.0). Changed: cut, mixed and separated; to be "
        "passed on under CC BY-SA 3.0.",
    ),
    "librispeech": Licence(True, "LibriSpeech (V. Panayotov, CC BY 4.0), mixed and separated."),
    "libri2mix": Licence(True, "Libri2Mix of LibriSpeech (V. Panayotov, CC BY 4.0), separated."),
    "wsj0-2mix": Licence(False, f"WSJ0-2mix, of WSJ0 {_WSJ0}"),
    "whamr": Licence(False, f"WHAMR!, of WSJ0 {_WSJ0}"),
    "folder": Licence(False, f"Speech of a folder {_OWN}"),
}
"""The licence of the speech of each `data.source`."""

_WHAM = Licence(True, "With noise of WHAM! (CC BY-NC 4.0): not for sale.")
_OWN_NOISE = Licence(False, f"With noise of a folder {_OWN}")


def licences(source: str | None, condition: str | None, noise: str | None) -> list[Licence]:
    """The licences of speech and recorded noise in a corpus; other noise is made of its speech."""
    result = [LICENCES.get(source or "", _UNKNOWN)]
    if condition in ("noisy", "noisy-reverberant"):
        if source == "libri2mix":
            result.append(_WHAM)
        elif noise == "folder":
            result.append(_OWN_NOISE)
    return result
