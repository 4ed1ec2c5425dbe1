"""The requests of the page: sounds of each depth, limits, and refusals."""

import io
import json
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile
import torch

from tisdiss.web.separations import Busy, Separations
from tisdiss.web.server import serve


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def sound(seconds: float, rate: int = 8000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(buffer, noise, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def finished(address: str, identity: str) -> dict:
    for _ in range(600):
        state = json.loads(ask(f"{address}separations/{identity}")[1])
        if state["error"] or len(state["ready"]) == len(state["depths"]):
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def test_every_voice_at_every_depth_is_that_of_the_separator(address, separations):
    content = sound(0.5, rate=16000, channels=2)
    code, answer = ask(f"{address}separations", content)
    assert code == 201
    made = finished(address, json.loads(answer)["identity"])
    assert (made["error"], made["ready"]) == ("", list(range(1, 11)))
    assert (made["seconds"], made["rate"]) == (0.5, 16000)
    assert "nothing above 4000 Hz" in made["note"]
    assert [made["took"][str(n)] for n in range(1, 11)] == sorted(made["took"].values())
    wave = torch.from_numpy(soundfile.read(io.BytesIO(content), dtype="float32")[0])
    expected = separations.separator.separate(wave, 16000, n_re=3)
    one = f"{address}separations/{made['identity']}"
    for j in (1, 2):
        code, wav = ask(f"{one}/re3/speaker{j}.wav")
        heard, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
        assert (code, rate) == (200, 16000)
        np.testing.assert_allclose(heard, expected[j - 1], atol=2**-15)
    mixture, _ = soundfile.read(io.BytesIO(ask(f"{one}/mixture.wav")[1]), dtype="float32")
    np.testing.assert_allclose(mixture, wave.mean(dim=1), atol=2**-15)
    for name in ("re3/speaker3.wav", "re11/speaker1.wav", "re3/speaker0.wav"):
        assert ask(f"{one}/{name}")[0] == 404


def test_estimates_beyond_full_scale_are_attenuated_together():
    from tisdiss.level import fitted

    loud = torch.tensor([[0.5, -2.0], [0.5, 1.0]])
    assert fitted(loud).tolist() == [[0.25, -1.0], [0.25, 0.5]]
    assert fitted(loud / 4).tolist() == (loud / 4).tolist()


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", 422, "this recording: empty"),
        (b"no sound", 422, "this recording: corrupt or no audio"),
        (sound(4), 422, "is longer than 3 s, the most that the page takes"),
        (b"0" * (2**20 + 1), 413, "larger than 1 MiB"),
    ],
)
def test_what_is_no_recording_or_too_long_is_told(address, content, code, message):
    status, answer = ask(f"{address}separations", content)
    assert status == code
    assert message in json.loads(answer)["error"]


def test_only_the_page_itself_may_ask(address):
    assert ask(address, Host="example.org")[0] == 400  # a name of another host for this machine
    status, answer = ask(f"{address}separations", sound(0.1), Origin="http://example.org")
    assert (status, b"other pages" in answer) == (403, True)
    own = address.rstrip("/")
    assert ask(f"{address}separations", sound(0.1), Origin=own)[0] == 201


def test_old_recordings_are_forgotten(address):
    first, *_, last = (
        json.loads(ask(f"{address}separations", sound(0.1))[1])["identity"] for _ in range(3)
    )
    finished(address, last)
    status, answer = ask(f"{address}separations/{first}")
    assert (status, b"send it again" in answer) == (404, True)


def test_a_failure_is_told_and_the_next_recording_is_separated(address, separations, monkeypatch):
    def fails(*args: object, **kwargs: object) -> None:
        raise MemoryError("no memory left")

    with monkeypatch.context() as broken:
        broken.setattr(separations.separator, "repetitions", fails)
        made = json.loads(ask(f"{address}separations", sound(0.1))[1])
        assert finished(address, made["identity"])["error"] == "MemoryError: no memory left"
    made = json.loads(ask(f"{address}separations", sound(0.1))[1])
    assert finished(address, made["identity"])["error"] == ""


def test_more_recordings_than_may_wait_are_refused(separations, monkeypatch):
    busy = Separations(separations.separator, max_seconds=3, waiting=1)
    monkeypatch.setattr(busy._worker, "submit", lambda *args: None)  # as if it never came to them
    busy.add(sound(0.1)), busy.add(sound(0.1))
    with pytest.raises(Busy, match="2 recordings are being separated"):
        busy.add(sound(0.1))
    busy.close()


def test_a_model_without_a_dial_has_one_depth(tiny):
    from tisdiss.model import TISDiSS
    from tisdiss.speech_separator import SpeechSeparator

    whole = Separations(
        SpeechSeparator(TISDiSS.from_config(tiny("tf-locoformer-sep2x1-l1"))), max_seconds=3
    )
    made = whole.add(sound(0.1))
    whole._worker.shutdown(wait=True)
    assert (made.depths, len(made.speakers[0]), made.error) == ((0,), 2, "")


def test_a_port_that_is_taken_is_told(address, separations):
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(ValueError, match=rf"port {port} cannot be used .*--port"):
        serve(None, port, on_ready=print)
