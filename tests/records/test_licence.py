"""Sounds that may be passed on, for every source and every kind of noise."""

import pytest

from tisdiss.records.licence import licences


@pytest.mark.parametrize(
    ("source", "condition", "noise", "free"),
    [
        ("synthetic", None, "mixed", True),
        ("prompts", "noisy-reverberant", "babble", True),  # of the same voices
        ("prompts", "reverberant", "folder", True),  # no noise is heard
        ("prompts", "noisy", "folder", False),
        ("librispeech", "clean", "mixed", True),
        ("libri2mix", None, "mixed", True),
        ("libri2mix", "noisy", "folder", True),  # stored with the noise of WHAM!
        ("whamr", None, "mixed", False),
        ("wsj0-2mix", "clean", "mixed", False),
        ("folder", None, "mixed", False),
        (None, None, None, False),
    ],
)
def test_speech_and_noise_must_both_be_free(source, condition, noise, free):
    found = licences(source, condition, noise)
    assert all(licence.may_be_passed_on for licence in found) == free
    assert ("may not be passed on" in " ".join(licence.said for licence in found)) != free
