"""The page of `tisdiss demo` on a free port, with a tiny model."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from tisdiss.config import ModelConfig
from tisdiss.model import TISDiSS
from tisdiss.speech_separator import SpeechSeparator
from tisdiss.web.app import application
from tisdiss.web.separations import Separations
from tisdiss.web.server import serve


@pytest.fixture(scope="module")
def separations(tiny: Callable[..., ModelConfig]) -> Iterator[Separations]:
    separator = SpeechSeparator(TISDiSS.from_config(tiny("sep1x1-re1x2-l1+2")))
    made = Separations(separator, max_seconds=3, keep=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(separations: Separations) -> str:
    """The address of the page, which takes up to 3 s and 1 MiB."""
    ready: queue.Queue[str] = queue.Queue()
    app = application(separations, max_mib=1)
    threading.Thread(
        target=serve, args=(app, 0), kwargs={"on_ready": ready.put}, daemon=True
    ).start()
    return ready.get(timeout=30)
