"""The table of speech sources: a new entry is opened, trained on, described and licensed."""

import sys
from pkgutil import resolve_name
from types import ModuleType

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from typer.testing import CliRunner

from tisdiss.cli.data_commands import app
from tisdiss.config import DataConfig
from tisdiss.data import Source, open_corpus
from tisdiss.data.audio import quantise
from tisdiss.data.decoded import Entry, Store, digest
from tisdiss.data.layouts import Layout, Part
from tisdiss.data.source import Listed, Tally, build
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.harness.runner import Runner
from tisdiss.records.licence import licences
from tisdiss.records.run_folder import RunFolder
from tisdiss.records.scores import mean_by_depth
from tisdiss.speech_sources import SOURCES, Licence, SpeechSource
from tisdiss.study.load import load_study

RATE = 8000
FREE = Licence(True, "Tones: free to pass on.")
ADVICE = "A file of pitches has one a line."


def read_tones(root, *, sample_rate, cache, on_progress=None) -> Source:
    """A speaker for each pitch of a text file, with three recordings of a second."""
    entries, sounds = {}, []
    for pitch in root.read_text().split():
        for k in range(3):
            wave = 0.1 * np.sin(2 * np.pi * (float(pitch) + k) * np.arange(RATE) / sample_rate)
            pcm, exponent = quantise(wave)
            place = sum(map(len, sounds))
            entries[f"{pitch}/{k}"] = Entry(place, len(pcm), exponent, digest(pcm, exponent))
            sounds.append(pcm)
    listed = [Listed(name, name.split("/")[0]) for name in entries]
    store = Store(np.concatenate(sounds), entries)
    return build("tones", listed, store, Tally(), sample_rate=sample_rate, note="tones only")


@pytest.fixture
def tones(monkeypatch, tmp_path):
    """A source of recordings, added in its table alone, and the file that it reads."""
    made_up = ModuleType("made_up")
    made_up.read_tones, made_up.ADVICE = read_tones, ADVICE
    monkeypatch.setitem(sys.modules, "made_up", made_up)
    entry = SpeechSource(
        licence=FREE, reader="made_up:read_tones", variable="TONES", advice="made_up:ADVICE"
    )
    monkeypatch.setitem(SOURCES, "tones", entry)
    monkeypatch.delenv("SPEECH", raising=False)
    file = tmp_path / "pitches.txt"
    file.write_text(" ".join(str(200 + 60 * k) for k in range(10)))
    monkeypatch.setenv("TONES", str(file))
    return file


def test_a_study_is_planned_and_trained_on_it(tones, write_study, tmp_path):
    more = "profiles:\n  smoke:\n    set: {data.source: tones, epochs: 1, average_best: 1}\n"
    study = load_study(write_study(["{id: a}"], more=more))
    runs, corpora = tmp_path / "runs", Corpora(cache=tmp_path / "cache")
    (planned,) = plan([study], "smoke", runs_dir=runs, corpora=corpora).runs
    assert planned.config.data.source == "tones"
    corpus = corpora.open(planned.config.data, 2)
    assert (corpus.source.name, corpus.source.note) == ("tones", "tones only")
    made = plan([study], "smoke", runs_dir=runs, corpora=corpora)
    runner = Runner(runs_dir=runs, corpora=corpora, say=lambda line: None)
    assert run(made, runner=runner, track=False) == {planned.identity: "done"}
    folder, (evaluation,) = RunFolder.of(runs, planned.identity), planned.evaluations
    means, mixtures = mean_by_depth(folder.evaluation(evaluation.identity) / "scores.parquet")
    assert list(means) == [1, 2, 3, 4] and mixtures == 4
    assert np.isfinite([value for row in means.values() for value in row.values()]).all()
    tones.write_text(tones.read_text() + " 1000")
    changed = plan([study], "smoke", runs_dir=runs, corpora=Corpora(cache=tmp_path / "cache"))
    assert changed.runs[0].identity != planned.identity


def test_commands_and_reports_know_it(tones, monkeypatch):
    shown = CliRunner().invoke(app, ["stats", "tones"]).output.split()
    assert shown[shown.index("train") + 1] == "18"  # of six speakers
    assert shown[-2] == "manifest"
    assert licences("tones", "clean", "mixed") == [FREE]
    monkeypatch.delenv("TONES")
    with pytest.raises(
        ValueError, match=rf"^no corpus was given: set TONES=/path/to/it\.\n{ADVICE}"
    ):
        open_corpus(DataConfig(source="tones"), 2, speech=None, cache=tones.parent)


def test_stored_mixtures_are_an_entry_too(monkeypatch, tmp_path):
    made_up = ModuleType("made_up")
    made_up.DUETS = Layout(
        title="Duets",
        folders=(),
        parts=tuple(Part(split, split, 3, (0.1, 2.0)) for split in ("train", "val", "test")),
        mixtures={"clean": "both"},
        source="one{}",
        voice=r"(?:^|_)([a-z]+)",
    )
    monkeypatch.setitem(sys.modules, "made_up", made_up)
    entry = SpeechSource(licence=FREE, layout="made_up:DUETS", variable="DUETS")
    monkeypatch.setitem(SOURCES, "duets", entry)
    for part in made_up.DUETS.parts:
        waves = [np.sin(f * np.arange(RATE)) * 0.1 for f in (0.1, 0.2)]
        for role, wave in {"one1": waves[0], "one2": waves[1], "both": sum(waves)}.items():
            (tmp_path / part.folder / role).mkdir(parents=True)
            soundfile.write(tmp_path / part.folder / role / "ann_bob.wav", wave, RATE)
    monkeypatch.setenv("DUETS", str(tmp_path))
    config = DataConfig(source="duets")
    corpus = open_corpus(config, 2, speech=None, cache=tmp_path / "cache")
    assert (corpus.source.name, corpus.test[0].speakers) == ("duets", ("ann", "bob"))
    assert (corpus.test[0].mixture - corpus.test[0].sources.sum(0)).abs().max() < 2 / 32768
    with pytest.raises(ValidationError, match="only dynamic mixing of single recordings"):
        DataConfig(source="duets", dynamic=True, speed=0.1)


@pytest.mark.parametrize("name", SOURCES)
def test_what_the_table_names_is_there(name):
    entry = SOURCES[name]
    assert bool(entry.reader) != bool(entry.layout)
    if entry.stored:
        assert isinstance(resolve_name(entry.layout), Layout) and entry.variable
    else:
        assert callable(resolve_name(entry.reader))
        assert bool(entry.advice) == bool(entry.variable)


def test_an_unknown_source_is_told_with_those_of_the_table(tones):
    with pytest.raises(ValidationError, match="'libri2mix', 'whamr' or 'tones'"):
        DataConfig(source="tone")
