"""The decoded samples determine a sound file's length; a truncated file is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tisdiss.data.check.examine import header
from tisdiss.data.decoded import open_store
from tisdiss.data.speakers import folder
from tisdiss.sound.decode import Refused, blocks, opened, read_sound
from tisdiss.sound.mpeg import frames_of

RATE = 8000
CUT_SHORT = "ends earlier than its header says"
NOISE = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wavx": ("WAVEX", "PCM_16"),
    "ulaw": ("WAV", "ULAW"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}


@pytest.fixture
def recording(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Two seconds in the format that the test is given."""
    path = tmp_path / f"noise.{request.param}"
    kind, subtype = FORMATS[request.param]
    soundfile.write(path, NOISE, RATE, format=kind, subtype=subtype)
    return path


@pytest.mark.parametrize("recording", FORMATS, indirect=True)
def test_whole_files_are_read_whole(recording: Path) -> None:
    samples, rate = read_sound(recording)
    assert (samples.shape, rate) == ((2 * RATE, 1), RATE)


@pytest.mark.parametrize("recording", FORMATS, indirect=True)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_files_that_end_early_are_refused(recording: Path, share: float) -> None:
    content = recording.read_bytes()
    recording.write_bytes(content[: int(share * len(content))])
    with pytest.raises(Refused, match="corrupt or no audio"):
        read_sound(recording)


@pytest.mark.parametrize("recording", ["wav"], indirect=True)
@pytest.mark.parametrize("promised", [2**32 - 1, 2**31 - 37])
def test_a_stream_that_knew_no_length_is_read_to_its_end(recording: Path, promised: int) -> None:
    content = bytearray(recording.read_bytes())
    content[40:44] = struct.pack("<I", promised)
    recording.write_bytes(content)
    assert len(read_sound(recording)[0]) == 2 * RATE


@pytest.mark.parametrize("recording", ["wav"], indirect=True)
def test_a_header_that_was_never_finished_is_told(recording: Path) -> None:
    content = bytearray(recording.read_bytes())
    content[40:44] = bytes(4)
    recording.write_bytes(content)
    with pytest.raises(Refused, match="header was never finished"):
        read_sound(recording)


@pytest.mark.parametrize("recording", ["flac"], indirect=True)
def test_a_flac_of_unknown_length_is_read_to_its_end(recording: Path) -> None:
    whole = read_sound(recording)[0]
    content = bytearray(recording.read_bytes())
    content[21] &= 0xF0  # total samples: 36 bits of 0
    content[22:26] = bytes(4)
    recording.write_bytes(content)
    assert np.array_equal(read_sound(recording)[0], whole)


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """An MP3 of variable bit rate whose loud first second makes a length estimate wrong."""
    path = tmp_path_factory.mktemp("mp3") / "whole.mp3"
    time = np.arange(12 * 44100) / 44100
    hiss = 0.05 * np.random.default_rng(0).standard_normal(len(time)) * (time < 1)
    tone = 0.2 * np.sin(2 * np.pi * 200 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    options = {"format": "MP3", "compression_level": 0.5, "bitrate_mode": "VARIABLE"}
    with soundfile.SoundFile(path, "w", 44100, 1, **options) as file:
        file.write(tone + hiss)
    whole, frames = path.read_bytes(), frames_of(path)
    assert frames and frames.promised == frames.count
    bare = whole[frames.after_header :]
    picture = b"APIC" + struct.pack(">IH", 3000, 0) + b"\xff\xfb\x90\x64" * 750
    size = bytes(len(picture) >> shift & 127 for shift in (21, 14, 7, 0))
    tag = b"ID3\3\0\0" + size + picture
    return {
        "whole": whole,
        "bare": bare,
        "joined": whole + whole,
        "joined with tags": tag + whole + tag + whole,
        "picture": tag + bare,
        "picture and header": tag + whole,
        "old tag": whole + b"TAG" + bytes(125),
        "cut": whole[: len(whole) * 2 // 3],
    }


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("whole", 12),
        ("bare", 12),
        ("joined", 24),
        ("joined with tags", 24),
        ("picture", 12),
        ("picture and header", 12),
        ("old tag", 12),
    ],
)
def test_an_mp3_has_the_length_of_its_frames(
    mp3: dict[str, bytes], tmp_path: Path, name: str, seconds: float
) -> None:
    path = tmp_path / "speech.mp3"
    path.write_bytes(mp3[name])
    samples, rate = read_sound(path)
    assert len(samples) / rate == pytest.approx(seconds, abs=0.15)


def test_an_mp3_that_lost_frames_is_refused(mp3: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    path.write_bytes(mp3["cut"])
    with pytest.raises(Refused, match=CUT_SHORT):
        read_sound(path)


def test_blocks_are_the_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.flac"
    soundfile.write(path, np.stack([NOISE, -NOISE], 1), RATE)
    with opened(path) as file:
        parts = list(blocks(file, "float64", 3000))
    assert [len(part) for part in parts] == [3000] * 5 + [1000]
    assert np.array_equal(np.concatenate(parts), read_sound(path)[0])


def test_one_bad_file_costs_a_corpus_that_file_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for speaker in range(6):
        for k in range(3):
            path = tmp_path / "speech" / f"s{speaker}" / f"{k}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(RATE), RATE)
    bad = tmp_path / "speech" / "s0" / "0.wav"
    bad.write_bytes(bad.read_bytes()[:9000])
    source = folder(tmp_path / "speech", sample_rate=RATE, cache=tmp_path / "cache")
    assert len(source.utterances) == 17
    (refused,) = source.report["refused"].items()
    assert CUT_SHORT in refused[0] and refused[1] == {"count": 1, "example": "s0/0.wav"}


@pytest.mark.parametrize("rate", [0, 1, 999, 2**24 - 3, 2**31 - 1])
def test_a_rate_that_no_sound_has_is_refused(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, NOISE, RATE)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"rate of|cannot be decoded"):
        read_sound(path)


def test_a_file_that_cannot_be_read_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("a/0.wav", "a/1.wav", "b/0.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, NOISE * (1 + len(name) + ord(name[2])) / 200, RATE)
    (tmp_path / "b" / "gone.wav").symlink_to(tmp_path / "b" / "nowhere.wav")
    (tmp_path / "b" / "folder.wav").mkdir()
    names = ["a/0.wav", "a/1.wav", "b/0.wav", "b/gone.wav", "b/folder.wav"]
    store = open_store(tmp_path, names, sample_rate=RATE, cache=tmp_path / "cache")
    assert {name: entry.refused for name, entry in store.entries.items() if entry.refused} == {
        "b/gone.wav": "cannot be read: No such file or directory",
        "b/folder.wav": "cannot be read: Is a directory",
    }


def test_the_check_and_the_training_agree_on_a_streamed_file(tmp_path: Path) -> None:
    path = tmp_path / "streamed.wav"
    soundfile.write(path, NOISE, RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert header(path).samples == len(read_sound(path)[0]) == len(NOISE)
