"""A folder of speakers: what is used, what is refused and counted, what is an error."""

import unicodedata

import numpy as np
import pytest

from tisdiss.data import folder


@pytest.fixture
def open_folder(tmp_path):
    def open_it():
        return folder(tmp_path / "speakers", sample_rate=8000, cache=tmp_path / "cache")

    return open_it


def test_hash_split_is_speaker_disjoint(speakers, open_folder):
    source = open_folder()
    of_split = {s: {u.speaker for u in source.split(s)} for s in ("train", "val", "test")}
    assert {s: len(v) for s, v in of_split.items()} == {"train": 3, "val": 2, "test": 2}
    assert not of_split["train"] & of_split["val"] | of_split["val"] & of_split["test"]
    assert source.note == "" and "speaker-disjoint" in source.report["split_rule"]


def test_hash_split_is_pinned(speakers, open_folder):
    assert {u.speaker for u in open_folder().split("test")} == {"d", "f"}


def test_few_speakers_are_split_by_utterance_and_it_is_said(write, open_folder):
    for k in range(10):
        write(f"a/{k}.wav")
        write(f"b/{k}.wav")
    source = open_folder()
    counts = {s: len(source.split(s)) for s in ("train", "val", "test")}
    assert counts == {"train": 14, "val": 2, "test": 4}
    assert source.note == "test set: unheard utterances of 2 voices that were heard in training"


def test_speakers_csv_decides_split_and_sex(speakers, open_folder):
    rows = [f"{s},{'test' if s < 'c' else 'train'},{'Female' if s == 'a' else 'm'}" for s in "abcd"]
    (speakers / "speakers.csv").write_text("speaker,split,sex\n" + "\n".join(rows) + "\n")
    source = open_folder()
    assert {u.speaker: u.sex for u in source.split("test")} == {"a": "f", "b": "m"}
    assert source.report["split_rule"] == "split as listed"
    row = source.report["refused"]["its speaker is not in speakers.csv"]
    assert row == {"count": 6, "example": "e/0.wav"}


def test_utterances_csv_decides_which_files(speakers, open_folder):
    (speakers / "utterances.csv").write_text(
        "file,speaker,split\na/0.wav,ann,train\nb/0.wav,bob,test\nb/9.wav,bob,test\n"
    )
    source = open_folder()
    assert [(u.id, u.speaker, u.split) for u in source.utterances] == [
        ("a/0.wav", "ann", "train"),
        ("b/0.wav", "bob", "test"),
    ]
    assert source.report["refused"] == {
        "listed in utterances.csv but missing or not audio": {"count": 1, "example": "b/9.wav"},
        "not listed in utterances.csv": {"count": 12, "example": "a/1.wav"},
    }


@pytest.mark.parametrize("path", ["../a.wav", "a/../../x.wav", "/etc/a.wav"])
def test_path_that_leaves_the_folder_is_an_error_with_its_row(speakers, open_folder, path):
    (speakers / "utterances.csv").write_text(f"file\na/0.wav\n{path}\n")
    with pytest.raises(ValueError, match=rf"utterances\.csv, row 3: file '{path}' leaves the fold"):
        open_folder()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("speakers.csv", "name,split\na,train\n", "column 'name' is not known; call it 'speaker'"),
        (
            "speakers.csv",
            "speaker,split\na,dev\n",
            "row 2: split 'dev' is not one of train, val, test",
        ),
        ("speakers.csv", "speaker\na\na\n", "row 3: speaker 'a' appears twice"),
        ("speakers.csv", "speaker,split\na,train\nb,\n", "b/0.wav has no split while others have"),
        ("utterances.csv", "file\na/0.wav\n./a/0.wav\n", "row 3: file './a/0.wav' appears twice"),
        ("utterances.csv", "file,split\n,train\n", "row 2: column 'file' is empty"),
        ("utterances.csv", "file\nd\xe9j\xe0\n", "not UTF-8"),
    ],
)
def test_mistake_in_a_csv_is_an_error_with_its_row(speakers, open_folder, name, text, message):
    (speakers / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        open_folder()


def test_contradicting_csv_files_are_an_error(speakers, open_folder):
    (speakers / "speakers.csv").write_text("speaker,split\na,train\n")
    (speakers / "utterances.csv").write_text("file,split\na/0.wav,test\n")
    with pytest.raises(ValueError, match=r"'test' by utterances\.csv, its speaker in 'train'"):
        open_folder()


def test_every_unusable_file_is_counted_by_its_rule(speakers, open_folder, write, tmp_path):
    write("a/short.wav", np.full(3000, 0.1))
    write("a/silent.wav", np.zeros(8000))
    write("b/nan.wav", np.full(8000, np.nan), subtype="FLOAT")
    (speakers / "b/empty.wav").touch()
    (speakers / "b/bad.flac").write_text("no audio")
    (speakers / "top.wav").write_bytes((speakers / "a/0.wav").read_bytes())
    (speakers / "g/copy.wav").write_bytes((speakers / "a/0.wav").read_bytes())
    write("../outside.wav")
    (speakers / "c/link.wav").symlink_to(tmp_path / "outside.wav")
    (speakers / "linked").symlink_to(tmp_path)
    report = open_folder().report
    assert {rule: row["count"] for rule, row in report["refused"].items()} == {
        "NaN or infinite samples": 1,
        "a symbolic link that leaves the folder": 2,
        "corrupt or no audio: cannot be decoded": 1,
        "empty": 1,
        "not in a speaker's folder": 1,
        "shorter than 0.5 s": 1,
        "silent: the peak is below 0.0001": 1,
        "the same sound as another file": 1,
    }
    assert report["refused"]["empty"]["example"] == "b/empty.wav"
    assert report["utterances"] == 14 and report["files"] == 23


def test_conversions_are_counted_and_summarised(speakers, open_folder, write):
    tone = np.sin(np.arange(16000))
    write("a/wide.wav", tone, 16000)
    write("b/stereo.wav", np.stack([tone, tone], 1)[:8000])
    source = open_folder()
    assert [row["count"] for row in source.report["converted"].values()] == [1, 1]
    assert "converted 1: 16000 Hz: resampled to 8000 Hz (such as a/wide.wav)" in source.summary()


def test_not_a_folder_says_what_one_looks_like(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is not a folder[\s\S]*speakers/alice/one\.flac"):
        folder(tmp_path / "nowhere", sample_rate=8000, cache=tmp_path / "cache")


def test_folder_without_recordings_says_what_one_looks_like(tmp_path):
    (tmp_path / "speakers").mkdir()
    with pytest.raises(ValueError, match=r"no recordings[\s\S]*speakers/alice/one\.flac"):
        folder(tmp_path / "speakers", sample_rate=8000, cache=tmp_path / "cache")


def test_only_unusable_files_names_their_rules(open_folder, write):
    write("a/silent.wav", np.zeros(8000))
    with pytest.raises(ValueError, match=r"no file can be used.*peak is below"):
        open_folder()


def test_manifest_hash_does_not_depend_on_where_the_folder_lies(speakers, open_folder, tmp_path):
    import shutil

    before = open_folder().manifest_hash
    shutil.copytree(speakers, tmp_path / "elsewhere" / "speakers")
    moved = folder(tmp_path / "elsewhere/speakers", sample_rate=8000, cache=tmp_path / "other")
    assert moved.manifest_hash == before


def test_manifest_hash_sees_the_sound(speakers, open_folder, write):
    before = open_folder().manifest_hash
    write("a/0.wav", np.full(8000, 0.1))
    assert open_folder().manifest_hash != before


def test_nested_folders_belong_to_the_speaker_on_top(speakers, open_folder, write):
    write("a/chapter1/deep.wav")
    assert {u.id: u.speaker for u in open_folder().utterances}["a/chapter1/deep.wav"] == "a"


def test_splits_as_folders_are_splits(write, open_folder):
    for split in ("train", "val", "Test"):
        for speaker in ("ann", "bob"):
            write(f"{split}/{speaker}-{split}/0.wav")
    source = open_folder()
    assert {(u.speaker, u.split) for u in source.utterances} == {
        (f"{speaker}-{split}", split.lower())
        for speaker in ("ann", "bob")
        for split in ("train", "val", "Test")
    }
    assert source.report["split_rule"] == "split as listed"


def test_splits_without_speakers_are_told(write, open_folder):
    for split in ("train", "val", "test"):
        write(f"{split}/0.wav")
    with pytest.raises(ValueError, match=r"test, train, val look like splits, but test/0\.wav is"):
        open_folder()


def test_a_folder_too_high_is_told(write, open_folder):
    for speaker in "abc":
        write(f"speakers/{speaker}/0.wav")
    with pytest.raises(ValueError, match=r"one folder, speakers, with 3 folders of recordings"):
        open_folder()


@pytest.mark.parametrize(("here", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_match_however_their_accents_are_composed(write, speakers, open_folder, here, there):
    name = unicodedata.normalize(here, "zoé")
    write(f"{name}/é.wav")
    other = unicodedata.normalize(there, "zoé")
    (speakers / "speakers.csv").write_text(f"speaker,sex\n{other},f\na,m\nb,f\n")
    (speakers / "utterances.csv").write_text(f"file\n{other}/é.wav\na/0.wav\nb\\0.wav\n")
    assert {u.speaker: u.sex for u in open_folder().utterances} == {name: "f", "a": "m", "b": "f"}


def test_a_speaker_whose_name_is_composed_in_two_ways_is_one(write, speakers, open_folder):
    for form in ("NFC", "NFD"):
        write(unicodedata.normalize(form, f"zoé/{form}.wav"))
    assert open_folder().report["speakers"] == 8


def test_spaces_around_a_folders_name_do_not_part_it_from_its_row(write, speakers, open_folder):
    write("zoe /0.wav")
    rows = "".join(f"{name},train\n" for name in (*"abcdefg", "zoe "))
    (speakers / "speakers.csv").write_text(f"speaker,split\n{rows}")
    assert "zoe " in {u.speaker for u in open_folder().split("train")}


def test_a_speaker_of_the_list_without_recordings_is_counted(speakers, open_folder):
    (speakers / "speakers.csv").write_text("speaker,split\na,train\ne,test\nzoe,test\n")
    row = open_folder().report["refused"]["listed in speakers.csv but without a recording"]
    assert row == {"count": 1, "example": "zoe"}


def test_a_list_in_capitals_is_read(speakers, open_folder):
    (speakers / "Speakers.CSV").write_text("Speaker;Split\r\na;Train\r\nb;Test\r\n")
    assert {(u.speaker, u.split) for u in open_folder().utterances} == {
        ("a", "train"),
        ("b", "test"),
    }


@pytest.mark.parametrize("name", ["speakers.tsv", "speaker.csv", "speakers.csv.txt"])
def test_a_list_under_another_name_is_told(speakers, open_folder, name):
    (speakers / name).write_text("speaker,split\na,train\n")
    rule = "a list that is not read; call it speakers.csv or utterances.csv"
    assert open_folder().report["refused"] == {rule: {"count": 1, "example": name}}


@pytest.mark.parametrize("parts", [("dev-clean", "test-clean"), ("train_1", "dev", "noise")])
def test_folders_that_are_nearly_called_splits_are_told(write, open_folder, parts):
    for part in parts:
        write(f"{part}/84/0.wav")
        write(f"{part}/85/0.wav")
    with pytest.raises(ValueError, match="look like splits, not like speakers; give one of them"):
        open_folder()


def test_initials_that_are_called_like_splits_stay_speakers(write, open_folder):
    for name in ("tr", "tt", "cv", "ab"):
        write(f"{name}/0.wav")
    assert open_folder().report["speakers"] == 4
