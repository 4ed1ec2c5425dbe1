"""Any kind of recording: libsndfile's, ffmpeg's where it is installed, standard input."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from tisdiss.sound.recording import received, recording
from tisdiss.wave import measure, mono_blocks, read_wave

NOISE = (0.1 * np.random.default_rng(0).standard_normal((1000, 2))).astype(np.float32)
AU = b".snd" + np.array([32, 2**32 - 1, 6, 48000, 2], ">u4").tobytes() + bytes(8)


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a program `ffmpeg` that notes its arguments, answers and ends."""

    def install(answer: bytes, says: str = "", code: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "answer").write_bytes(answer)
        program = folder / "ffmpeg"
        program.write_text(
            f"#!{sys.executable}\nimport pathlib, sys\nhere = pathlib.Path(__file__).parent\n"
            "(here / 'asked').write_text('\\n'.join(sys.argv[1:]))\n"
            "sys.stdout.buffer.write((here / 'answer').read_bytes())\n"
            f"sys.exit((print({says!r}, file=sys.stderr) if {says!r} else None) or {code})\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder

    return install


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "-my film.mp4"
    path.write_bytes(b"something that libsndfile does not know" * 40)
    return path


def test_ffmpeg_reads_what_libsndfile_cannot(ffmpeg: Callable[..., Path], film: Path) -> None:
    asked = ffmpeg(AU + NOISE.astype(">f4").tobytes()) / "asked"
    with recording(film) as file:
        assert (file.rate, file.channels) == (48000, 2)
        assert np.array_equal(np.concatenate(list(file.blocks)), NOISE)
    words = asked.read_text().split("\n")
    assert words[words.index("-i") + 1] == f"file:{film}"
    assert words[words.index("-protocol_whitelist") + 1] == "file"
    formats = words[words.index("-format_whitelist") + 1].split(",")
    assert {"mov", "matroska"} <= set(formats) and not {"hls", "concat"} & set(formats)


def test_a_reader_that_stops_early_leaves_no_process(
    ffmpeg: Callable[..., Path], film: Path
) -> None:
    ffmpeg(AU + np.zeros(2**22, ">f4").tobytes())
    this, blocks = psutil.Process(), mono_blocks(film)
    others = set(this.children())
    assert len(next(blocks)) == 2**16
    assert set(this.children()) - others
    blocks.close()  # type: ignore[attr-defined]
    assert not set(this.children()) - others


@pytest.mark.parametrize(
    ("answer", "says", "code", "message"),
    [
        (b"", "[in#0 @ 0x5] moov atom not found\nmore", 1, "ffmpeg: moov atom not found; convert"),
        (AU, "", 0, "empty"),
        (
            AU + NOISE.astype(">f4").tobytes(),
            "[in#0/mkv @ 0x5] [y] Ended early.",
            0,
            "ffmpeg: Ended early$",
        ),
        (AU + NOISE.astype(">f4").tobytes(), "", 3, "ffmpeg: ended with code 3"),
        (AU + np.full(4, np.nan, ">f4").tobytes(), "", 0, "NaN or infinite samples"),
    ],
)
def test_what_ffmpeg_refuses_is_refused(
    ffmpeg: Callable[..., Path], film: Path, answer: bytes, says: str, code: int, message: str
) -> None:
    ffmpeg(answer, says, code)
    with pytest.raises(ValueError, match=message) as caught:
        read_wave(film)
    assert str(caught.value).startswith(f"{film}: ") and "\n" not in str(caught.value)


def test_without_ffmpeg_the_way_out_is_named(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="use WAV, FLAC, OGG or MP3, or install ffmpeg"):
        read_wave(film)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("suffix", ["m4a", "mkv"])
def test_the_real_ffmpeg_reads_and_refuses_what_is_cut(tmp_path: Path, suffix: str) -> None:
    sound, film = tmp_path / "tone.wav", tmp_path / f"-a b.{suffix}"
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(32000) / 16000)
    soundfile.write(sound, np.stack([tone, 0 * tone], 1), 16000)
    words = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(sound), "-c:a", "aac", f"file:{film}"]
    subprocess.run(words, check=True)
    samples, rate = read_wave(film)
    assert rate == 16000 and abs(len(samples) - 32000) < 3000
    assert samples.square().mean().sqrt() == pytest.approx(0.15 / 2**0.5, rel=0.1)
    film.write_bytes(film.read_bytes()[:-4000])
    with pytest.raises(ValueError, match="corrupt or no audio: ffmpeg: "):
        read_wave(film)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "private.wav", NOISE, 8000)
    path = tmp_path / "talk.m4a"
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", "private.wav", "#EXT-X-ENDLIST")
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(ValueError, match=r"talk\.m4a: corrupt or no audio: ffmpeg: "):
        read_wave(path)


def test_a_channel_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, NOISE, 8000, subtype="FLOAT")
    for channel, expected in ((1, NOISE[:, 0]), (2, NOISE[:, 1]), (None, NOISE.mean(1))):
        (block,) = mono_blocks(path, channel)
        assert np.array_equal(block.numpy(), expected)
    for channel in (0, 3):
        with pytest.raises(ValueError, match=f"no channel {channel}; there are channels 1 to 2"):
            measure(path, channel)


def test_standard_input_is_kept_in_a_file_for_a_while(tmp_path: Path) -> None:
    sound = io.BytesIO()
    soundfile.write(sound, NOISE, 8000, format="FLAC")
    for folder in (tmp_path / "new" / "out", None):
        sound.seek(0)
        with received(sound, folder) as path:
            assert measure(path) == (1000, 8000)
            assert folder is None or path.is_relative_to(folder)
        assert not path.exists()
    assert not (tmp_path / "new" / "out").exists()
    (tmp_path / "full").mkdir()
    with pytest.raises(KeyboardInterrupt), received(io.BytesIO(b"x"), tmp_path / "full"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path / "full") == []
