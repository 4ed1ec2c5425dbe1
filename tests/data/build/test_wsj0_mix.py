"""The recipe of WSJ0-2mix: lists, recordings, gains."""

import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tisdiss.data.audio import active_rms
from tisdiss.data.build.wsj0_mix import (
    find_utterances,
    mixture_of,
    read_levels,
    read_list,
    read_utterance,
)
from tisdiss.data.layouts import WSJ0_2MIX
from tisdiss.sound.decode import Refused

TT = WSJ0_2MIX.parts[2]
LEVELS = {"94dc0201": 1e-4, "95eo0105": 1e-3}
GOOD = "wsj0/si_et_05/94d/94dc0201.wav 1.5 wsj0/si_dt_05/95e/95eo0105.wav -1.5"
OFFICIAL = Path(__file__).parents[4] / "shared" / "metadata" / "wsj0-mix"
SHORTENED = b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"


def rows_of(tmp_path, *lines):
    (tmp_path / "mix_2_spk_tt.txt").write_text("\n".join(lines) + "\n")
    return read_list(tmp_path, TT, LEVELS)


def test_row_has_the_name_that_the_scripts_give(tmp_path):
    (row,) = rows_of(tmp_path, GOOD)
    assert row.name == "94dc0201_1.5_95eo0105_-1.5"
    assert row.gains_db == (1.5, -1.5) and row.levels == (1e-4, 1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((" -1.5", ""), r"row 2: .* is not 2 times an utterance and its gain"),
        (("-1.5", "-1.4"), r"row 2: the gains 1\.5 and -1\.4 do not sum to zero"),
        (("95eo0105", "99eo0105"), r"row 2: no activlev_\*\.txt has a level for '99eo0105'"),
        (("wsj0/si_dt_05", "../../etc"), r"row 2: '\.\./\.\./etc/95e/95eo0105\.wav' is not a path"),
        (("wsj0/si_dt_05", "/si_dt_05"), r"row 2: '/si_dt_05/95e/95eo0105\.wav' is not a path"),
    ],
)
def test_wrong_row_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        rows_of(tmp_path, GOOD, GOOD.replace(*change))


def test_absent_list_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no mix_2_spk_tt\.txt there; give the folder of the off"):
        read_list(tmp_path, TT, LEVELS)


def test_sources_have_the_listed_levels_and_the_loudest_sample_is_nine_tenths(
    tmp_path, make_wsj0, wsj0_rows
):
    row = wsj0_rows[0]
    made = dict(mixture_of(row, find_utterances(make_wsj0(tmp_path, [row])), 8000, "min"))
    assert list(made) == ["s1", "s2", "mix"]
    peak = max(np.abs(signal.astype(int)).max() for signal in made.values())
    assert peak == round(0.9 * 32768)
    assert np.abs(made["mix"].astype(int) - made["s1"] - made["s2"]).max() <= 1
    ratio = 20 * np.log10(active_rms(made["s1"], 8000) / active_rms(made["s2"], 8000))
    assert ratio == pytest.approx(2 * row.gains_db[0], abs=0.5)


def test_max_mode_pads_the_shorter_source(tmp_path, make_wsj0, wsj0_rows):
    row, utterances = wsj0_rows[0], find_utterances(make_wsj0(tmp_path, [wsj0_rows[0]]))
    longer, shorter = (dict(mixture_of(row, utterances, 8000, m)) for m in ("max", "min"))
    assert len(longer["mix"]) > len(shorter["mix"])
    assert len({len(signal) for signal in longer.values()}) == 1


def test_sphere_file_equals_the_wav_file(tmp_path, make_wsj0, wsj0_rows):
    sphere = find_utterances(make_wsj0(tmp_path / "a", wsj0_rows[:1], ".wv1"))
    wav = find_utterances(make_wsj0(tmp_path / "b", wsj0_rows[:1], ".wav"))
    assert sphere.keys() == wav.keys()
    for key in wav:
        assert np.array_equal(read_utterance(sphere[key]), read_utterance(wav[key]))


def test_first_microphone_goes_before_wav_and_the_second_is_never_used(
    tmp_path, make_wsj0, wsj0_rows
):
    for suffix in (".wav", ".wv1", ".wv2"):
        make_wsj0(tmp_path, wsj0_rows[:1], suffix)
    assert {path.suffix for path in find_utterances(tmp_path).values()} == {".wv1"}


def test_only_the_second_microphone_is_an_error(tmp_path, make_wsj0, wsj0_rows):
    make_wsj0(tmp_path, wsj0_rows[:1], ".wv2")
    with pytest.raises(ValueError, match=r"only \.wv2 files \(2\), the second microphone.*1-2 dB"):
        find_utterances(tmp_path)


def test_shortened_sphere_asks_for_sph2pipe(tmp_path, monkeypatch):
    path = tmp_path / "01to030v.wv1"
    path.write_bytes(SHORTENED.ljust(2048, b"\0"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"01to030v\.wv1: SPHERE compressed by shorten, which only"):
        read_utterance(path)


def test_shortened_sphere_is_read_through_sph2pipe(tmp_path, monkeypatch):
    path, plain = tmp_path / "01to030v.wv1", tmp_path / "plain.wav"
    path.write_bytes(SHORTENED.ljust(2048, b"\0"))
    soundfile.write(plain, np.arange(-800, 800, dtype=np.int16), 16000)
    tool = tmp_path / "sph2pipe"
    tool.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "-f wav -p" ] && /bin/cp {plain} "$5"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert np.array_equal(read_utterance(path) * 32768, np.arange(-800, 800))


def test_wrong_rate_of_a_recording_is_refused(tmp_path):
    path = tmp_path / "01to030v.wav"
    soundfile.write(path, np.arange(-800, 800, dtype=np.int16), 8000)
    with pytest.raises(Refused, match=r"01to030v\.wav: 8000 Hz, and WSJ0 has 16000 Hz"):
        read_utterance(path)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/metadata is not there")
def test_official_lists_are_read_whole():
    levels = read_levels(OFFICIAL)
    assert len(levels) == 14633
    counts = {p.folder: len(read_list(OFFICIAL, p, levels)) for p in WSJ0_2MIX.parts}
    assert counts == {"tr": 20000, "cv": 5000, "tt": 3000}


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/metadata is not there")
def test_first_official_rows_are_built_at_their_paths(tmp_path, make_wsj0):
    levels = read_levels(OFFICIAL)
    rows = read_list(OFFICIAL, TT, levels)[:2]
    utterances = find_utterances(make_wsj0(tmp_path, rows))
    assert (tmp_path / "disc/wsj0/si_et_05/445/445c0206.wv1").exists()
    assert rows[0].name == "445c0206_0.60431_22gc0105_-0.60431"
    for row in rows:
        made = dict(mixture_of(row, utterances, 8000, "min"))
        assert np.abs(made["mix"].astype(int) - made["s1"] - made["s2"]).max() <= 1
