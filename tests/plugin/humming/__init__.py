"""A model, a corpus and a score for TISDiSS. This module imports no torch, as a plan needs it."""

from tisdiss.config import Config
from tisdiss.contract import WholeModel
from tisdiss.records.names import Measure
from tisdiss.speech_sources import Licence, SpeechSource


class Settings(Config):
    n_src: int = 2
    sample_rate: int = 8000
    channels: int = 64
    kernel: int = 32
    blocks: int = 3

    @property
    def depths(self) -> range:
        return range(1, self.blocks + 1)


MODEL = WholeModel(
    module="humming.net:Net", settings="humming:Settings", sizes={"smoke": {"channels": 8}}
)
CORPUS = SpeechSource(licence=Licence(True, "Hums: free to pass on."), reader="humming.voices:hums")
SCORE = Measure("SNR", "humming.net:snr")
