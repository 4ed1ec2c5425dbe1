"""STFT and inverse against stored pairs, also of spectra that no signal has."""

import measure
import numpy as np
import pytest
import torch

from tisdiss.stft import STFT

PAIRS = dict(np.load(measure.GOLDEN / "stft_open.npz"))
LENGTHS = sorted({int(name.split("/")[0]) for name in PAIRS})


@pytest.mark.parametrize("samples", LENGTHS)
def test_spectrum_is_the_stored_one(samples: int) -> None:
    wave = torch.as_tensor(PAIRS[f"{samples}/x"])
    spectrum = STFT(n_fft=128, hop=64)(wave, torch.tensor([samples])).numpy()
    stored = PAIRS[f"{samples}/stft"]
    assert spectrum.shape == stored.shape and spectrum.shape[1] == PAIRS[f"{samples}/frames"][0]
    np.testing.assert_allclose(spectrum, stored, atol=1e-6 * np.abs(stored).max())


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize(("given", "expected"), [("stft", "istft"), ("rand_spec", "rand_istft")])
def test_wave_is_the_stored_one(samples: int, given: str, expected: str) -> None:
    spectrum = torch.as_tensor(PAIRS[f"{samples}/{given}"])
    stored = PAIRS[f"{samples}/{expected}"]
    wave = STFT(n_fft=128, hop=64).inverse(spectrum, samples).numpy()
    # where the squared window is 1e-7 (last sample of 127), its float32 rounding shows
    np.testing.assert_allclose(wave, stored, atol=2e-5 * np.abs(stored).max())


def test_frames_past_an_utterance_are_zero_as_stored() -> None:
    _, golden = measure.read(next(p for p in measure.golden_files() if p.name.startswith("o02")))
    mixture = torch.as_tensor(golden["mix"] / golden["mix_std"])
    spectrum = STFT(n_fft=128, hop=64)(mixture, torch.as_tensor(golden["lens"])).numpy()
    assert (golden["stft"] == 0).any()
    np.testing.assert_allclose(spectrum, golden["stft"], atol=1e-5)
