"""The sources of speech, in one table: what opens one, where it lies, who may pass its sounds on.

A new source is an entry of `SOURCES` and the function or the layout that the entry names; settings,
corpora, commands and reports read it here. Nothing heavy is imported, for planning reads it, too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """Under what sounds were made public, and what is to be said beside them."""

    may_be_passed_on: bool
    said: str


@dataclass(frozen=True, kw_only=True)
class SpeechSource:
    """Where the speech of `data.source` comes from: recordings to mix, or stored mixtures."""

    licence: Licence
    reader: str = ""
    """"module:function" for recordings. Called with the folder (if there is a `variable`) and
    sample_rate=, cache=, on_progress= it returns a `data.Source`."""
    layout: str = ""
    """"module:NAME" of the `data.layouts.Layout` for stored mixtures."""
    variable: str = ""
    """The environment variable that says where it lies; "" for what is made or fetched."""
    advice: str = ""
    """"module:NAME" of the text that says how recordings must lie."""
    noise: Licence | None = None
    """Of the noise in stored mixtures."""

    @property
    def stored(self) -> bool:
        """Whether mixtures are read; else they are made of recordings."""
        return bool(self.layout)


_OWN = "of your own, whose licence is not known here: may not be passed on."
_WSJ0 = "(LDC licence): may not be passed on."
_WHAM = Licence(True, "With noise of WHAM! (CC BY-NC 4.0): not for sale.")
UNKNOWN = Licence(False, "A corpus of unknown source: may not be passed on.")
"""Of speech whose source nobody wrote down."""
NOISE_FOLDER = Licence(False, f"With noise of a folder {_OWN}")
"""Of noise that a user brings."""

SOURCES = {
    "folder": SpeechSource(
        licence=Licence(False, f"Speech of a folder {_OWN}"),
        reader="tisdiss.data.speakers:folder",
        variable="SPEECH",
        advice="tisdiss.data.speakers:LAYOUT",
    ),
    "prompts": SpeechSource(
        licence=Licence(
            True,
            "Studio prompts of Debian's asterisk-core-sounds (Allison Smith, June Wallack, Carlo "
            "Flora under CC BY-SA 3.0; Maxim Topal, ivrvoice.ru, under CC BY 3.0) and of "
            "asterisk-prompt-it-menardi, made by Marco Menardi and Paola Dal Zot, "
            "http://www.voip.ammdomus.it (CC BY-SA 3.0). Changed: cut, mixed and separated; to be "
            "passed on under CC BY-SA 3.0.",
        ),
        reader="tisdiss.data.prompts:prompts",
    ),
    "synthetic": SpeechSource(
        licence=Licence(True, "Generated sounds, no speech: free to pass on."),
        reader="tisdiss.data.synthetic:generated",
    ),
    "librispeech": SpeechSource(
        licence=Licence(True, "LibriSpeech (V. Panayotov, CC BY 4.0), mixed and separated."),
        reader="tisdiss.data.librispeech:librispeech",
        variable="LIBRISPEECH",
        advice="tisdiss.data.librispeech:ADVICE",
    ),
    "wsj0-2mix": SpeechSource(
        licence=Licence(False, f"WSJ0-2mix, of WSJ0 {_WSJ0}"),
        layout="tisdiss.data.layouts:WSJ0_2MIX",
        variable="WSJ0_2MIX",
    ),
    "libri2mix": SpeechSource(
        licence=Licence(True, "Libri2Mix of LibriSpeech (V. Panayotov, CC BY 4.0), separated."),
        layout="tisdiss.data.layouts:LIBRI2MIX",
        variable="LIBRI2MIX",
        noise=_WHAM,
    ),
    "whamr": SpeechSource(
        licence=Licence(False, f"WHAMR!, of WSJ0 {_WSJ0}"),
        layout="tisdiss.data.layouts:WHAMR",
        variable="WHAMR",
        noise=_WHAM,
    ),
}
"""By `data.source`."""
