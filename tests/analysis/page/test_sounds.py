"""The sounds of a page, and their licences."""

import json
import re

from tisdiss.analysis.frames import load_study
from tisdiss.analysis.page import html_report
from tisdiss.analysis.sounds import heard, licences_of


def said_beside(folder):
    """What the licences of a study's sounds say."""
    found = licences_of(load_study(folder.runs_dir, "fig2e", "mini"))
    return " ".join(licence.said for licence in found)


def test_sounds_are_credited(made, data_of):
    text = made.read_text()
    assert "http://www.voip.ammdomus.it" in text and "CC BY-SA 3.0" in text
    assert len(data_of(made)["sounds"]) == 15  # equal ones once


def test_speech_of_ones_own_is_passed_on_only_when_asked(
    study_folder, keep_frames, tmp_path, keep, say_source, data_of
):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}).row("b", {1: 1.0})
    keep(next(folder.folder("a").glob("evaluations/*")) / "audio" / "m0000", frequency=300.0)
    for source in ("wsj0-2mix", "folder"):
        say_source(folder, source)
        assert "may not be passed on" in said_beside(folder)
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html")
    assert data_of(page)["sounds"] == {} and "data:audio/flac;base64,f" not in page.read_text()
    said = "Speech from your own folder, whose licence is unknown: may not be passed on."
    assert f"No sounds here. {said} The option --own-speech" in page.read_text()
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "own.html", own_speech=True)
    assert len(data_of(page)["sounds"]) == 7 and said in page.read_text()


def test_speech_of_training_is_not_heard_and_does_not_silence_a_free_corpus(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    path = folder.folder("a") / "config.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"train": {"data": {"source": "folder"}}}))
    assert "voip.ammdomus.it" in said_beside(folder)


def test_a_folder_that_is_called_like_a_free_corpus_is_not_free(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    folder.plan["corpus"]["data_source"] = "folder"  # its name is still "prompts"
    folder.save()
    assert "may not be passed on" in said_beside(folder)


def test_free_sounds_say_their_licence_and_never_that_they_may_not_be_passed_on(
    made, folder, say_source
):
    assert "may not be passed on" not in made.read_text()
    say_source(folder, "synthetic")
    assert said_beside(folder) == "Generated sounds, no speech: free to pass on."
    say_source(folder, "prompts")


def test_noise_of_ones_own_is_not_passed_on_with_free_speech(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    folder.plan["corpus"] |= {"data_condition": "noisy", "data_noise": "folder"}
    assert said_beside(folder.save()).endswith(
        "With noise from your own folder, whose licence is unknown: may not be passed on."
    )


def test_heard_mixtures_are_ordered_from_the_longest(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    found, sounds = heard(frames, "a", folder.runs_dir, "si_snri")
    assert [mixture.title for mixture in found] == [
        "1: 0.2 s, f + f",
        "2: 0.2 s, f + m",
        "3: 0.2 s, f + m",
    ]
    assert [mixture.mixture for mixture in found] == ["m0001", "m0000", "m0002"]
    assert found[0].depths == [1, 3]
    assert set(found[0].sounds.values()) <= set(sounds)


def test_every_row_is_heard_on_the_same_mixtures_one_of_them_at_all_depths(
    study_folder, keep_frames, tmp_path, keep, data_of
):
    """Row b is named first; a is heard at the ends and where a row was trained."""
    depths = dict.fromkeys((1, 2, 3, 4, 5), 3.0)
    folder = study_folder().row("a", depths).row("b", depths, n_re_train=4)
    folder.row("plain", {0: 3.0}, n_re_train=0)
    folder.plan["claims"] = [{"id": "c", "expr": "row('b') > row('a')", "source": "ours"}]
    folder.save()
    for row, kept in (("a", depths), ("b", depths), ("plain", [0])):
        place = next(folder.folder(row).glob("evaluations/*")) / "audio" / "m0000"
        keep(place, frequency=300.0, depths=kept)
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html")
    rows = data_of(page)["studies"]["fig2e"]["heard"]
    assert [row[0]["depths"] for row in rows] == [[1, 2, 3, 4, 5], [1, 3, 4, 5], [0]]
    assert {row[0]["mixture"] for row in rows} == {"m0000"}
    assert len({row[0]["sounds"]["mixture"] for row in rows}) == 1
    options = re.findall(r'<option value="(\d)">(\w+)<', page.read_text())
    assert options == [("0", "b"), ("1", "a"), ("2", "plain")]


def test_damaged_sound_costs_its_row_alone(study_folder, keep_frames, tmp_path, keep):
    folder = study_folder().row("a", {1: 3.0, 3: 5.0}).row("b", {1: 3.0, 3: 5.0})
    for row in ("a", "b"):
        place = next(folder.folder(row).glob("evaluations/*")) / "audio" / "m0000"
        keep(place, frequency=300.0)
    (place / "mixture.wav").write_bytes(b"RIFF")
    keep_frames(folder, tmp_path)
    page = html_report(tmp_path, folder.runs_dir, tmp_path / "report.html").read_text()
    assert re.findall(r'<option value="\d">(\w+)<', page) == ["a"]


def test_row_that_kept_no_sound_is_silent(folder):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    assert heard(frames, "b", folder.runs_dir, "si_snri") == ([], {})


def test_row_without_a_depth_to_choose_is_not_heard(folder, keep):
    frames = load_study(folder.runs_dir, "fig2e", "mini")
    evaluation = next(folder.folder("b").glob("evaluations/*"))
    keep(evaluation / "audio" / "m0000", frequency=300.0)
    for path in evaluation.glob("audio/m0000/re*"):
        path.unlink()
    assert heard(frames, "b", folder.runs_dir, "si_snri") == ([], {})
