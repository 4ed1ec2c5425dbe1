"""Rooms: drawn from a seed, responses with the direct sound at zero, kept in the cache."""

import pickle

import numpy as np
import pytest

from tisdiss.data.draw import Draw

pytest.importorskip("pyroomacoustics", reason="the package pyroomacoustics is not installed")

from tisdiss.data.rooms import draw_room, impulse_responses, open_rooms

OPTIONS = {"n_src": 2, "t60_seconds": (0.15, 0.3), "sample_rate": 8000, "seed": 0}


def room_of(t60: float, k: int = 0):
    return draw_room(Draw("here", k), n_src=2, t60_seconds=(t60, t60))


def test_rooms_have_the_sizes_and_distances_of_whamr():
    for k in range(50):
        room = draw_room(Draw("many", k), n_src=3, t60_seconds=(0.1, 1.0))
        assert 5 <= room.size[0] <= 10 and 3 <= room.size[2] <= 4 and 0.1 <= room.t60 <= 1.0
        flat = [np.hypot(*np.subtract(t, room.microphone)[:2]) for t in room.talkers]
        assert len(flat) == 3 and min(flat) > 0.659 and max(flat) < 2.001
        assert all(0 < t[i] < room.size[i] for t in room.talkers for i in range(3))


def test_direct_sound_is_one_at_sample_zero_and_the_largest():
    for k, t60 in enumerate((0.1, 0.3, 0.6)):
        responses = impulse_responses(room_of(t60, k), 8000)
        assert responses.shape == (2, round(0.75 * t60 * 8000))
        assert np.all(responses[:, 0] == 1) and np.all(np.abs(responses).argmax(axis=1) == 0)


@pytest.mark.parametrize("t60", [0.2, 0.5])
def test_energy_decays_as_fast_as_asked(t60):
    decay = np.cumsum(impulse_responses(room_of(t60), 8000)[0][::-1] ** 2)[::-1]
    level = 10 * np.log10(decay[1:] / decay[1])
    measured = 3 * (np.argmax(level < -25) - np.argmax(level < -5)) / 8000
    assert 0.7 * t60 < measured < 1.6 * t60


def test_simulation_does_not_depend_on_the_number_of_threads():
    import pyroomacoustics

    room, before = room_of(0.3), pyroomacoustics.constants.get("num_threads")
    try:
        pyroomacoustics.constants.set("num_threads", 4)
        many = impulse_responses(room, 8000)
    finally:
        pyroomacoustics.constants.set("num_threads", before)
    assert np.array_equal(many, impulse_responses(room, 8000))


def test_bank_is_simulated_once_and_pickles_as_a_path(tmp_path, monkeypatch):
    rooms = open_rooms("test", 3, **OPTIONS, cache=tmp_path)
    first = rooms.responses(2).copy()
    monkeypatch.setattr("tisdiss.data.rooms.impulse_responses", None)
    again = pickle.loads(pickle.dumps(open_rooms("test", 3, **OPTIONS, cache=tmp_path)))
    assert np.array_equal(again.responses(2), first) and first.shape[1] < 0.3 * 8000
    assert again.manifest() == rooms.manifest()


def test_splits_have_other_rooms(tmp_path):
    first, second = (open_rooms(s, 2, **OPTIONS, cache=tmp_path) for s in ("train", "test"))
    assert not {r.size for r in first.rooms} & {r.size for r in second.rooms}


def test_impossible_reverberation_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"t60_seconds=\(0\.0, 0\.3\): give \(lowest, highest\)"):
        open_rooms("test", 2, **(OPTIONS | {"t60_seconds": (0.0, 0.3)}), cache=tmp_path)
