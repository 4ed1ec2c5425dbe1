"""The table of speech sources: reader, location and licence of each.

To add a source, add an entry to `SOURCES` and the function or layout that it names; settings,
corpora, commands and reports read the table. This module imports nothing slow, because planning
reads it, too.
"""

from dataclasses import dataclass

from tisdiss.plugins import Table


@dataclass(frozen=True)
class Licence:
    """Whether sounds may be passed on, and the notice to show with them."""

    may_be_passed_on: bool
    said: str
    """The notice."""


@dataclass(frozen=True, kw_only=True)
class SpeechSource:
    """A source of speech (`data.source`): recordings to mix, or stored mixtures."""

    licence: Licence
    reader: str = ""
    """"module:function" that reads recordings and returns a `data.Source`. Its arguments are the
    folder (if there is a `variable`), sample_rate=, cache= and on_progress=."""
    layout: str = ""
    """"module:NAME" of the `data.layouts.Layout` for stored mixtures."""
    variable: str = ""
    """Environment variable with the folder; "" for a source that is generated or downloaded."""
    advice: str = ""
    """"module:NAME" of the text that describes the folder of recordings."""
    noise: Licence | None = None
    """The licence of the noise in stored mixtures."""

    @property
    def stored(self) -> bool:
        """Whether the source has stored mixtures instead of recordings to mix."""
        return bool(self.layout)


_OWN = "from your own folder, whose licence is unknown: may not be passed on."
_WSJ0 = "(LDC licence): may not be passed on."
_WHAM = Licence(True, "With noise of WHAM! (CC BY-NC 4.0): not for commercial use.")
UNKNOWN = Licence(False, "A corpus of unknown source: may not be passed on.")
"""The licence of speech whose source was not recorded."""
NOISE_FOLDER = Licence(False, f"With noise {_OWN}")
"""The licence of noise from a user's folder."""

_OURS = {
    "folder": SpeechSource(
        licence=Licence(False, f"Speech {_OWN}"),
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
            "http://www.voip.ammdomus.it (CC BY-SA 3.0). Changed: cut, mixed and separated. May be "
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

SOURCES = Table("tisdiss.corpora", SpeechSource, _OURS)
"""The sources by name (`data.source`): ours, and those of packages (`tisdiss.plugins`)."""
