"""The page of `tisdiss demo` in a real browser."""

import io
import time

import numpy as np
import pytest
import soundfile

RESULT = "document.getElementById('result').dataset"
WANTED = f"{RESULT}.wanted"
DRAWN = f"{RESULT}.drawn && {RESULT}.drawn === {WANTED}"


@pytest.fixture
def recording(tmp_path):
    """Two tones of 1 s."""
    time = np.arange(8000) / 8000
    path = tmp_path / "talk here.wav"
    tones = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 1500 * time)
    soundfile.write(path, tones, 8000)
    return path


def choose(browser, path):
    """Choose a file, as a person does in the dialog."""
    document = browser.ask("DOM.getDocument")["root"]["nodeId"]
    node = browser.ask("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


@pytest.mark.slow
@pytest.mark.parametrize(("width", "mobile"), [(390, True), (1100, False)])
def test_a_recording_is_separated_and_heard_at_each_depth(
    browser, address, recording, width, mobile, tmp_path
):
    browser.open(address, width, 900, mobile)
    assert browser.run("document.getElementById('limits').innerText") == "Up to 3 s and 1 MiB."
    choose(browser, recording)
    browser.wait("state.made && state.made.ready.length === 10")
    browser.wait(DRAWN)
    assert browser.run(WANTED).endswith("/re2/speaker1.wav")  # the first voice, as trained
    browser.run("document.getElementById('depth').focus()")
    browser.press("ArrowRight", 39)
    browser.wait(DRAWN)
    assert browser.run(WANTED).endswith("/re3/speaker1.wav")
    assert browser.run("document.querySelector('output').textContent") == "3"
    browser.run("void document.querySelector('audio').play()")
    browser.wait("document.querySelector('audio').currentTime > 0")
    browser.click("button[data-signal=speaker2]")
    browser.wait(DRAWN)
    assert browser.run(WANTED).endswith("/re3/speaker2.wav")
    assert browser.run("document.getElementById('save').download") == "talk here_re3_speaker2.wav"
    browser.click("button[data-signal=mixture]")
    browser.wait(DRAWN)
    assert browser.run("document.getElementById('depth').disabled")
    heard = browser.run("document.querySelector('canvas').width")
    assert heard == (8000 - 256) // 64 + 1
    page = "document.documentElement"
    assert browser.run(f"{page}.scrollWidth - {page}.clientWidth") <= 0
    assert browser.errors == []
    assert all(fetched.startswith(address) for fetched in browser.fetched)
    browser.picture(tmp_path / "demo.png")


@pytest.mark.slow
def test_what_is_no_recording_is_told(browser, address, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no sound")
    browser.open(address, 1100, 900)
    choose(browser, path)
    browser.wait("document.getElementById('message').className === 'wrong'")
    said = browser.run("document.getElementById('message').innerText")
    assert said.startswith("this recording: corrupt or no audio")
    assert browser.run("document.getElementById('result').hidden")


@pytest.mark.slow
def test_other_formats_are_decoded_by_the_browser(browser, address, tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.ones((48000, 1)), 48000, format="OGG", subtype="OPUS")
    path = tmp_path / "talk.opus"
    path.write_bytes(buffer.getvalue())
    browser.open(address, 1100, 900)
    choose(browser, path)
    browser.wait("state.made && state.made.ready.length === 10")
    assert browser.run("state.made.rate") == 48000


@pytest.fixture
def with_microphone(open_browser, recording):
    """A browser in which the microphone hears the recording, again and again."""
    return open_browser(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    )


@pytest.mark.slow
def test_the_microphone_is_recorded_until_it_is_stopped_or_the_limit(with_microphone, address):
    browser = with_microphone
    browser.open(address, 1100, 900)
    browser.click("#record")
    browser.wait("document.getElementById('record').textContent === 'Stop'")
    time.sleep(1.5)
    browser.click("#record")
    browser.wait("state.made && state.made.ready.length === 10")
    assert 0.8 < browser.run("state.made.seconds") < 2.5
    assert browser.run("document.getElementById('title').textContent") == "recording"
    first = browser.run("state.made.identity")
    browser.click("#record")  # stops by itself after the 3 s that the page takes
    browser.wait(f"state.made.identity !== {first!r} && state.made.ready.length === 10")
    assert 2.4 < browser.run("state.made.seconds") <= 3
    assert browser.errors == []
