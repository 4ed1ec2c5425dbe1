"""`check`: a good corpus passes, and each way of going wrong is found with its cause."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tisdiss.data import folder
from tisdiss.data.check.doctor import check
from tisdiss.data.check.finding import Finding, failed, summary
from tisdiss.data.check.speech import check_source, check_wsj0
from tisdiss.data.check.statistics import stats

ROOT = Path("wav8k/min")


def of(findings, check_name: str):
    return next(f for f in findings if f.check == check_name)


@pytest.fixture
def corpus(wsj0_2mix, tmp_path) -> Path:
    """A copy of the small WSJ0-2mix that may be changed."""
    return Path(shutil.copytree(wsj0_2mix, tmp_path / "corpus"))


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], rate: int = 8000) -> None:
    signal, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, change(signal), rate)


def test_small_wsj0_2mix_lacks_nothing_but_mixtures(wsj0_2mix, lists):
    findings = check("wsj0-2mix", wsj0_2mix, lists=lists / "wsj0-mix")
    assert not failed(findings)
    assert {f.check for f in findings if f.level == "WARN"} == {"tr count", "cv count", "tt count"}
    assert "4 mixtures, officially 20000" in of(findings, "tr count").message
    assert of(findings, "speakers of train and val").message.endswith("as it is officially")


@pytest.mark.parametrize("condition", ["clean", "noisy"])
def test_small_libri2mix_passes(libri_2mix, lists, condition):
    options = {"lists": lists / "libri2mix", "condition": condition}
    findings = check("libri2mix", libri_2mix, **options)
    assert not failed(findings), "\n".join(map(str, findings))
    summands = "s1 + s2" + (" + noise" if condition == "noisy" else "")
    assert summands in of(findings, "dev sums").message


def test_small_whamr_passes_on_its_first_channel(whamr):
    findings = check("whamr", whamr)
    assert not failed(findings), "\n".join(map(str, findings))
    assert "s1_reverb + s2_reverb + noise" in of(findings, "tt sums").message


def test_shifted_references_are_no_pass(whamr, tmp_path):
    corpus = Path(shutil.copytree(whamr, tmp_path / "corpus"))
    for path in (corpus / ROOT / "tt").glob("s?_anechoic/*.wav"):
        rewrite(path, lambda signal: np.roll(signal, -37, axis=0))
    lost = sorted((corpus / ROOT / "tr" / "s2_reverb").iterdir())[0]
    lost.unlink()
    findings = check("whamr", corpus)
    delays = of(findings, "tt delays")
    assert delays.level == "FAIL" and "(37, 37)" in delays.message
    assert of(findings, "tr delays").level == "PASS"
    assert of(findings, "tr halves").message == f"s2_reverb/{lost.name} is missing"
    assert of(findings, "mixture level").level == "FAIL"


def test_samples_that_are_not_finite_are_named_with_their_file(corpus):
    path = sorted((corpus / ROOT / "tt" / "s1").iterdir())[0]
    signal, rate = soundfile.read(path, dtype="float32")
    signal[7] = np.nan
    soundfile.write(path, signal, rate, subtype="FLOAT")
    finding = of(check("wsj0-2mix", corpus), "tt files")
    assert finding.message == f"tt/s1/{path.name}: NaN or infinite samples"


def test_last_line_tells_the_worst():
    levels = ("PASS", "WARN", "PASS")
    findings = [Finding(level, "a", "b") for level in levels]
    assert summary(findings) == "WARN: 3 checks, 2 PASS, 1 WARN, 0 FAIL"
    assert summary([*findings, Finding("FAIL", "a", "b")]).startswith("FAIL: 4 checks")


def test_missing_half_is_named(corpus):
    lost = sorted((corpus / ROOT / "tt" / "s2").iterdir())[0]
    lost.unlink()
    finding = of(check("wsj0-2mix", corpus), "tt halves")
    assert finding.level == "FAIL" and finding.message == f"s2/{lost.name} is missing"


def test_truncated_file_is_named(corpus):
    path = sorted((corpus / ROOT / "cv" / "mix").iterdir())[0]
    path.write_bytes(path.read_bytes()[:5000])
    finding = of(check("wsj0-2mix", corpus), "cv files")
    assert finding.level == "FAIL"
    assert finding.message == (
        f"cv/mix/{path.name}: corrupt or no audio: ends earlier than its header says"
    )


def test_wrong_rate_is_found(corpus):
    for path in (corpus / ROOT / "tt").rglob("*.wav"):
        rewrite(path, lambda signal: signal, 16000)
    finding = of(check("wsj0-2mix", corpus), "tt rate")
    assert (finding.level, finding.message) == ("FAIL", "9 files of 16000 Hz")


def test_sixteen_kilohertz_called_eight_is_heard(corpus):
    for path in (corpus / ROOT / "tt").rglob("*.wav"):
        rewrite(path, lambda signal: np.repeat(signal, 2))
    finding = of(check("wsj0-2mix", corpus), "tt duration")
    assert finding.level == "FAIL" and "16 kHz audio taken for 8 kHz" in finding.cause


def test_max_version_is_told_by_its_padding(corpus):
    for path in (corpus / ROOT / "tt" / "s1").iterdir():
        for role in ("mix", "s1", "s2"):
            kept = 0 if role == "s1" else 1

            def pad(signal: np.ndarray, kept: int = kept) -> np.ndarray:
                return np.append(signal, kept * signal[:8000])

            rewrite(corpus / ROOT / "tt" / role / path.name, pad)
    finding = of(check("wsj0-2mix", corpus), "tt duration")
    assert finding.level == "FAIL" and "the 'max' version" in finding.cause


def test_mixture_that_is_not_the_sum_is_found(corpus):
    path = sorted((corpus / ROOT / "tt" / "mix").iterdir())[0]
    rewrite(path, lambda signal: signal // 2)
    finding = of(check("wsj0-2mix", corpus), "tt sums")
    assert finding.level == "FAIL" and path.stem in finding.message


def test_exchanged_sources_do_not_fit_the_gains_of_the_names(corpus):
    folder = corpus / ROOT / "tr"
    (folder / "s1").rename(folder / "s3")
    (folder / "s2").rename(folder / "s1")
    (folder / "s3").rename(folder / "s2")
    finding = of(check("wsj0-2mix", corpus), "tr gains")
    assert finding.level == "FAIL" and ".wv2" in finding.cause


def test_silent_source_is_found(corpus):
    path = sorted((corpus / ROOT / "tt" / "s1").iterdir())[0]
    rewrite(path, np.zeros_like)
    finding = of(check("wsj0-2mix", corpus), "tt sound")
    assert (finding.level, finding.message) == ("FAIL", f"silent: s1/{path.stem}")


def test_clipped_mixture_is_a_warning(corpus):
    path = sorted((corpus / ROOT / "tt" / "mix").iterdir())[0]
    rewrite(path, lambda signal: np.clip(4 * signal.astype(int), -32768, 32767).astype(np.int16))
    assert of(check("wsj0-2mix", corpus), "tt sound").level == "WARN"


def test_copy_of_a_test_mixture_in_training_is_two_faults(corpus):
    name = sorted((corpus / ROOT / "tt" / "mix").iterdir())[0].name
    for role in ("mix", "s1", "s2"):
        shutil.copy(corpus / ROOT / "tt" / role / name, corpus / ROOT / "tr" / role / name)
    findings = check("wsj0-2mix", corpus)
    assert of(findings, "duplicates").level == "FAIL"
    assert of(findings, "speakers of train and test").message.startswith("5 and 2 speakers, 2 in")


def test_name_that_no_list_has_is_found(corpus, lists):
    for role in ("mix", "s1", "s2"):
        path = sorted((corpus / ROOT / "tt" / role).iterdir())[0]
        path.rename(path.with_name("94dc0201_1_95eo0105_-1.wav"))
    finding = of(check("wsj0-2mix", corpus, lists=lists / "wsj0-mix"), "tt names")
    assert finding.level == "FAIL" and "94dc0201_1_95eo0105_-1" in finding.message


def test_folder_of_another_version_is_explained(corpus):
    (corpus / "wav8k").rename(corpus / "wav16k")
    (finding,) = check("wsj0-2mix", corpus)
    assert "wav16k/min is another version" in finding.message


def test_stats_count_and_measure(wsj0_2mix):
    row = stats("wsj0-2mix", wsj0_2mix)["tt"]
    assert (row["mixtures"], row["speakers"]) == (3, 2)
    assert row["min_s"] <= row["mean_s"] <= row["max_s"]
    assert abs(row["si_snr"]) < 0.3 < row["sdr"] + 0.3


def test_wsj0_at_the_official_levels_passes(tmp_path, make_wsj0, wsj0_rows, lists):
    findings = check_wsj0(make_wsj0(tmp_path, wsj0_rows), lists / "wsj0-mix")
    assert {f.level for f in findings} == {"PASS"}, "\n".join(map(str, findings))


def test_second_microphone_is_told_by_its_level(tmp_path, make_wsj0, wsj0_rows, lists):
    make_wsj0(tmp_path, wsj0_rows, suffix=".wav", level_db=-6.0)
    finding = of(check_wsj0(tmp_path, lists / "wsj0-mix"), "microphone")
    assert finding.level == "FAIL" and "the second microphone" in finding.cause


def test_source_of_many_speakers_keeps_them_apart(voices):
    findings = check_source(voices)
    assert "by SHA-256 of the speaker's name" in of(findings, "splits").message
    assert of(findings, "test").message == "8 utterances of 2 speakers"
    assert of(findings, "speakers of train and test").level == "PASS"
    assert of(findings, "note").message == "synthetic sounds, no speech"


def test_source_of_few_speakers_says_who_is_heard_in_training(write, tmp_path):
    for name in (f"{s}/{k}.wav" for s in "ab" for k in range(10)):
        write(name)
    source = folder(tmp_path / "speakers", sample_rate=8000, cache=tmp_path / "cache")
    finding = of(check_source(source), "speakers of train and test")
    assert finding.level == "WARN" and finding.message == "2 in both: a; b"
