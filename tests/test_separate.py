"""A sound file in, one file per speaker out, at its own rate, length and scale."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tisdiss.dial import Dial
from tisdiss.level import in_level
from tisdiss.machine.memory import peak_growth
from tisdiss.model import TISDiSS
from tisdiss.recordings import Wishes, separate_file
from tisdiss.separate import rate_note, separate, separate_depths, separate_with
from tisdiss.wave import as_mono, read_wave, resample


@pytest.fixture(scope="module")
def model(tiny) -> TISDiSS:
    torch.manual_seed(0)
    return TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")).eval()


def noise(samples: int, level: float = 0.1) -> Tensor:
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sound file of noise."""

    def write(name: str, samples: int, rate: int = 8000, channels: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([noise(samples).numpy()] * channels, axis=1), rate)
        return path

    return write


@pytest.mark.parametrize("samples", [1, 7, 64, 65, 500, 1601])
@pytest.mark.parametrize("rate", [8000, 16000, 11025, 44100])
def test_estimates_are_as_long_as_the_mixture(model: TISDiSS, samples: int, rate: int) -> None:
    estimates = separate(model, noise(samples), rate, n_re=1)
    assert estimates.shape == (2, samples)
    assert estimates.isfinite().all() and estimates.dtype == torch.float32


def test_at_its_own_rate_the_estimates_are_the_models(model: TISDiSS) -> None:
    mixture = noise(900)
    with torch.inference_mode():
        expected = in_level(mixture, model(mixture[None], n_re=3)[0])
    assert torch.equal(separate(model, mixture, 8000, n_re=3), expected)


@pytest.mark.parametrize(
    ("rate", "note"),
    [
        (44100, "the model works at 8000 Hz: estimates have nothing above 4000 Hz"),
        (6000, "the model works at 8000 Hz: audio at 6000 Hz has nothing above 3000 Hz for it"),
        (8000, ""),
    ],
)
def test_what_another_rate_costs_is_said(model: TISDiSS, rate: int, note: str) -> None:
    assert rate_note(rate, model) == note


def test_another_rate_is_resampled_there_and_back(model: TISDiSS) -> None:
    mixture = noise(1800)
    with torch.inference_mode():
        inner = model(resample(mixture, 16000, 8000)[None])[0]
    expected = in_level(mixture, resample(inner, 8000, 16000))
    torch.testing.assert_close(separate(model, mixture, 16000), expected)


def test_estimates_are_in_the_scale_of_the_mixture(model: TISDiSS) -> None:
    mixture = noise(900)
    quiet = separate(model, mixture / 1024, 8000)
    torch.testing.assert_close(1024 * quiet, separate(model, mixture, 8000), rtol=1e-3, atol=1e-5)


def test_silence_stays_silent(model: TISDiSS) -> None:
    assert not separate(model, torch.zeros(900), 44100).any()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2)])
def test_a_file_becomes_one_file_per_speaker(
    model: TISDiSS, sound, tmp_path: Path, rate: int, channels: int
) -> None:
    source = sound("two talkers.wav", 1500, rate, channels)
    done = separate_file(model, source, tmp_path / "new" / "out")
    names = [path.name for path in done.files]
    assert names == ["two talkers_speaker1.wav", "two talkers_speaker2.wav"]
    assert (done.n_re, done.seconds) == (2, 1500 / rate)
    expected = separate(model, read_wave(source)[0], rate)
    for path, estimate in zip(done.files, expected, strict=True):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (1500, rate, 1)
        torch.testing.assert_close(read_wave(path)[0], estimate, rtol=0, atol=2**-15)


def test_depth_is_chosen_at_inference(model: TISDiSS, sound, tmp_path: Path) -> None:
    source = sound("talk.wav", 900)
    one, four = (
        separate_file(model, source, tmp_path / f"{n}", Wishes(dial=Dial(n_re=n))) for n in (1, 4)
    )
    assert (one.n_re, four.n_re) == (1, 4)
    assert one.files[0].read_bytes() != four.files[0].read_bytes()


def test_a_depth_of_0_is_refused_before_anything_is_written(
    model: TISDiSS, sound, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="n_re=0: the reconstructor runs at least once"):
        separate_file(model, sound("talk.wav", 900), tmp_path / "out", Wishes(dial=Dial(n_re=0)))
    assert not (tmp_path / "out").exists()


def test_a_model_without_reconstructor_says_so(tiny, sound, tmp_path: Path) -> None:
    model = TISDiSS.from_config(tiny("sep1x2-l1"))
    assert separate_file(model, sound("talk.wav", 900), tmp_path / "out").n_re == 0
    with pytest.raises(ValueError, match="n_re=3: sep1x2-l1 has no reconstructor to repeat"):
        separate_file(model, sound("talk.wav", 900), tmp_path / "other", Wishes(dial=Dial(n_re=3)))


def test_a_long_file_is_separated_in_parts(model: TISDiSS) -> None:
    mixture = noise(4000)
    whole = separate(model, mixture, 8000)
    parts = separate(model, mixture, 8000, part_seconds=0.2)
    assert parts.shape == whole.shape and not torch.equal(parts, whole)
    first = separate(model, mixture[:1600], 8000)[:, :800]  # the same but for its factors
    alike = torch.nn.functional.cosine_similarity(parts[:, :800], first)
    torch.testing.assert_close(alike.abs(), torch.ones(2))


def test_the_deepest_part_tells_the_depth(model: TISDiSS) -> None:
    mixture = torch.cat([torch.zeros(1600), noise(1600)])
    dial = Dial(settled_db=500, n_re=4)
    assert separate_with(model, mixture, 8000, dial, part_seconds=0.2)[1] == 4
    assert separate_with(model, mixture[:1600], 8000, dial, part_seconds=0.2)[1] == 2


def test_parts_are_told_as_they_are_done(model: TISDiSS) -> None:
    told: list[tuple[int, int]] = []
    separate_with(
        model, noise(4000), 8000, Dial(), part_seconds=0.2, on_part=lambda *now: told.append(now)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("samples", [800, 1600, 1601, 2400, 2401, 5000])
def test_the_parts_of_a_long_file_share_the_time(
    model: TISDiSS, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float | None] = []
    real = Dial.run
    monkeypatch.setattr(
        Dial, "run", lambda self, *given: (seconds.append(self.seconds), real(self, *given))[1]
    )
    separate_with(model, noise(samples), 8000, Dial(seconds=60.0), part_seconds=0.2)
    assert sum(each or 0 for each in seconds) == pytest.approx(60)
    assert len(seconds) == {800: 1, 1600: 1, 1601: 2, 2400: 2, 2401: 3, 5000: 6}[samples]


# --- what is never written over ------------------------------------------------------------------


def test_a_file_that_is_there_is_replaced_only_by_force(
    model: TISDiSS, sound, tmp_path: Path
) -> None:
    source, mine = sound("talk.wav", 900), tmp_path / "out" / "talk_speaker2.wav"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"talk_speaker2\.wav exists; .* --force"):
        separate_file(model, source, tmp_path / "out")
    assert mine.read_text() == "mine"
    assert [path.name for path in mine.parent.iterdir()] == ["talk_speaker2.wav"]
    separate_file(model, source, tmp_path / "out", force=True)
    assert len(read_wave(mine)[0]) == 900


def test_a_file_that_cannot_be_read_leaves_nothing(model: TISDiSS, sound, tmp_path: Path) -> None:
    source = sound("talk.wav", 9000)
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(ValueError, match="ends earlier than its header says"):
        separate_file(model, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- levels ---------------------------------------------------------------------------------------


def test_estimates_sum_to_the_mixture_as_well_as_they_can() -> None:
    mixture, estimates = (
        noise(4000),
        torch.stack([-30 * noise(4000) + noise(4001)[1:], noise(4002)[2:]]),
    )
    scaled = in_level(mixture, estimates)
    error = (mixture - scaled.sum(0)).square().sum()
    for j in range(2):
        for change in (0.9, 1.1, -1.0):
            other = scaled.clone()
            other[j] *= change
            assert (mixture - other.sum(0)).square().sum() > error


class Known(torch.nn.Module):
    """A "model" whose estimates are the sources, at a level and polarity of its own."""

    def __init__(self, like: TISDiSS, sources: Tensor, factors: tuple[float, float]) -> None:
        super().__init__()
        self.config, self.weight = like.config, torch.nn.Parameter(torch.zeros(1))
        self.sources, self.factors = sources, torch.tensor(factors)[:, None]

    def forward(self, mixture: Tensor, n_sep: int | None = None, n_re: int | None = None) -> Tensor:
        start = next(
            k for k in range(0, self.sources.shape[1] - mixture.shape[1] + 1)
            if torch.allclose(self.sources.sum(0)[k : k + mixture.shape[1]], mixture[0], atol=1e-3)
        )  # fmt: skip
        return (self.factors * self.sources[:, start : start + mixture.shape[1]])[None]


@pytest.mark.parametrize("factors", [(300.0, -70.0), (-1e-3, 1e-3), (1.0, 1.0)])
def test_who_was_louder_stays_louder_in_files_of_any_length(
    model: TISDiSS, tmp_path: Path, factors: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tisdiss.recordings.PART_SECONDS", 0.5)
    sources = torch.stack([noise(9001, 0.2), noise(9000, 0.02).new_zeros(9001)])
    sources[1] = 0.02 * torch.randn(9001, generator=torch.Generator().manual_seed(5))
    soundfile.write(tmp_path / "talk.wav", sources.sum(0).numpy(), 8000)
    known = Known(model, sources, factors)
    done = separate_file(known, tmp_path / "talk.wav", tmp_path / "out")  # type: ignore[arg-type]
    written = torch.stack([read_wave(path)[0] for path in done.files])
    torch.testing.assert_close(written, sources, rtol=0, atol=2e-4)
    peaked = separate_file(known, tmp_path / "talk.wav", tmp_path / "peak", Wishes(peak=True))  # type: ignore[arg-type]
    for path in peaked.files:
        assert read_wave(path)[0].abs().max() == pytest.approx(0.9, abs=1e-3)


class Halves(torch.nn.Module):
    """A "model" that gives each speaker half of the mixture."""

    def __init__(self, like: TISDiSS) -> None:
        super().__init__()
        self.config, self.weight = like.config, torch.nn.Parameter(torch.zeros(1))

    def forward(self, mixture: Tensor, n_sep: int | None = None, n_re: int | None = None) -> Tensor:
        return torch.stack([mixture / 2] * 2, dim=1)


def test_a_budget_fixes_the_depth_of_all_parts(
    model: TISDiSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Dial] = []
    real = Dial.run
    monkeypatch.setattr(
        Dial, "run", lambda self, *given: (asked.append(self), real(self, *given))[1]
    )
    n_re = separate_with(model, noise(4000), 8000, Dial(budget=1e-9), part_seconds=0.2)[1]
    assert n_re == 1 and asked == [Dial(budget=1e-9), *[Dial(n_re=1)] * 3]


def test_one_voice_gives_one_file_as_recorded(model: TISDiSS, tmp_path: Path) -> None:
    mixture = noise(9000)
    soundfile.write(tmp_path / "talk.wav", mixture.numpy(), 8000, subtype="FLOAT")
    wishes = Wishes(find_speakers=True)
    done = separate_file(Halves(model), tmp_path / "talk.wav", tmp_path / "out", wishes)  # type: ignore[arg-type]
    assert [path.name for path in done.files] == ["talk_speaker1.wav"] and done.speakers == 1
    torch.testing.assert_close(read_wave(done.files[0])[0], mixture, rtol=0, atol=2**-15)
    lone, _ = separate_with(Halves(model), mixture, 8000, Dial(), find_speakers=True)  # type: ignore[arg-type]
    torch.testing.assert_close(lone, mixture[None])


def test_force_leaves_no_voice_of_an_earlier_result(model: TISDiSS, tmp_path: Path) -> None:
    source, out = tmp_path / "talk.wav", tmp_path / "out"
    soundfile.write(source, noise(9000).numpy(), 8000)
    separate_file(Halves(model), source, out)  # type: ignore[arg-type]
    (out / "talk_speaker3.wav").write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    lone = Wishes(find_speakers=True)
    with pytest.raises(ValueError, match=r"talk_speaker1\.wav exists"):
        separate_file(Halves(model), source, out, lone)  # type: ignore[arg-type]
    (out / "talk_speaker1.wav").unlink()
    with pytest.raises(ValueError, match=r"talk_speaker2\.wav exists"):
        separate_file(Halves(model), source, out, lone)  # type: ignore[arg-type]
    assert {path.name for path in out.iterdir()} == before.keys() - {"talk_speaker1.wav"}
    done = separate_file(Halves(model), source, out, lone, force=True)  # type: ignore[arg-type]
    assert [path.name for path in done.files] == ["talk_speaker1.wav"]
    left = {path.name: path.read_bytes() for path in out.iterdir()}
    assert left.keys() == {"talk_speaker1.wav", "talk_speaker3.wav"}
    assert left["talk_speaker3.wav"] == b"mine"
    assert left["talk_speaker1.wav"] != before["talk_speaker1.wav"]


def test_silence_gives_no_file(model: TISDiSS, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", np.zeros(9000), 8000)
    done = separate_file(model, tmp_path / "talk.wav", tmp_path / "out", Wishes(find_speakers=True))
    assert done.files == () and list((tmp_path / "out").iterdir()) == []


def test_a_long_file_is_never_held_whole(model: TISDiSS, sound, tmp_path: Path) -> None:
    """Half an hour and its two estimates are 173 MB."""
    short, long = sound("short.wav", 8000 * 600), sound("long.wav", 8000 * 1800)
    halves, wishes = Halves(model), Wishes(find_speakers=True)
    separate_file(halves, short, tmp_path / "out", wishes)  # type: ignore[arg-type]
    grown = peak_growth(lambda: separate_file(halves, long, tmp_path / "out", wishes))  # type: ignore[arg-type]
    assert soundfile.info(tmp_path / "out/long_speaker1.wav").frames == 8000 * 1800
    assert grown < 90e6


def test_nothing_clips(model: TISDiSS, tmp_path: Path) -> None:
    sources = torch.stack([noise(900, 0.5), -noise(900, 0.5) + noise(901, 0.1)[:900]])
    sources *= 3 / sources.abs().max()  # a loud pair that cancels in the mixture
    soundfile.write(tmp_path / "talk.wav", sources.sum(0).numpy(), 8000, subtype="FLOAT")
    done = separate_file(Known(model, sources, (5.0, 2.0)), tmp_path / "talk.wav", tmp_path / "out")  # type: ignore[arg-type]
    written = torch.stack([read_wave(path)[0] for path in done.files])
    assert written.abs().max() == pytest.approx(1.0, abs=1e-3)
    assert done.lowered_db == pytest.approx(20 * np.log10(3), abs=0.1)
    torch.testing.assert_close(3 * written, sources, rtol=0, atol=5e-3)


def test_a_silent_speaker_stays_silent() -> None:
    mixture = noise(800)
    estimates = torch.stack([-40 * mixture, torch.zeros(800)])
    torch.testing.assert_close(
        in_level(mixture, estimates), torch.stack([mixture, torch.zeros(800)]), rtol=1e-4, atol=1e-6
    )


def test_equal_estimates_share_the_mixture() -> None:
    mixture = noise(800)
    torch.testing.assert_close(
        in_level(mixture, torch.stack([7 * mixture, 7 * mixture])),
        torch.stack([mixture, mixture]) / 2,
        rtol=1e-4,
        atol=1e-6,
    )


# --- shapes and types ---------------------------------------------------------------------------

FORMS = {
    "(1, samples)": lambda x: x[None],
    "(2, samples)": lambda x: torch.stack([x, x]),
    "(samples, 2)": lambda x: torch.stack([x, x], 1),
    "float64": lambda x: x.double(),
    "numpy": lambda x: x.numpy(),
    "list": lambda x: x.tolist(),
    "with a gradient": lambda x: x.clone().requires_grad_(),
    "int16": lambda x: (x * 32768).round().short(),
    "int32": lambda x: (x.double() * 2**31).round().int(),
    "uint8": lambda x: ((x * 128).round() + 128).to(torch.uint8),
    "float16": lambda x: x.half(),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_other_libraries_give_is_taken_as_it_is_meant(form: str) -> None:
    mixture = (noise(1600).clamp(-0.9, 0.9) * 32768).round() / 32768
    taken = as_mono(FORMS[form](mixture), 8000)
    assert taken.dtype == torch.float32 and not taken.requires_grad
    step = {"uint8": 2**-8, "float16": 2**-11}.get(form, 1e-7)
    torch.testing.assert_close(taken, mixture, rtol=0, atol=step)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        (torch.full((900,), float("nan")), "NaN or infinite"),
        (torch.tensor([1.0, float("inf")]), "NaN or infinite"),
        (torch.zeros(0), "is empty"),
        (torch.zeros(2, 0), r"shape \(2, 0\)"),
        (torch.zeros(()), r"shape \(\)"),
        (torch.zeros(1, 2, 900), r"shape \(1, 2, 900\)"),
        (torch.zeros(100, 900), r"shape \(100, 900\)"),
        (torch.zeros(900, dtype=torch.complex64), "type torch.complex64"),
        (torch.zeros(900, dtype=torch.bool), "type torch.bool"),
    ],
)
def test_what_has_no_certain_meaning_is_refused(
    model: TISDiSS, mixture: Tensor, message: str
) -> None:
    for rate in (8000, 16000):
        with pytest.raises(ValueError, match=message):
            separate(model, mixture, rate)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float64, torch.float16])
def test_the_model_itself_names_the_type_that_it_takes(model: TISDiSS, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"this model takes torch\.float32"):
        model(torch.zeros(1, 900, dtype=dtype))


def test_every_depth_out_of_one_pass_is_that_of_separate(model: TISDiSS) -> None:
    mixture = noise(2000)
    for depth, estimates in separate_depths(model, mixture, 16000, [1, 3]):
        torch.testing.assert_close(estimates, separate(model, mixture, 16000, n_re=depth))
