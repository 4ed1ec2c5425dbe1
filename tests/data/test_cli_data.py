"""`tisdiss data ...`: what it prints and how it exits."""

import shutil

import pytest
from typer.testing import CliRunner

from tisdiss.cli.data_commands import app
from tisdiss.config import DataConfig
from tisdiss.data import folder, open_corpus


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_check_ends_with_the_verdict_and_its_exit_code(wsj0_2mix, tmp_path):
    good = run("check", "wsj0-2mix", wsj0_2mix, "--mixtures", 1)
    assert good.exit_code == 0 and good.output.splitlines()[-1].startswith("WARN: ")
    corpus = shutil.copytree(wsj0_2mix, tmp_path / "corpus")
    next((corpus / "wav8k/min/tt/s2").iterdir()).unlink()
    bad = run("check", "wsj0-2mix", corpus, "--mixtures", 1)
    assert bad.exit_code == 1 and bad.output.splitlines()[-1].endswith(", 1 FAIL")


def test_prepare_then_check_wsj0(make_wsj0, wsj0_rows, lists, tmp_path):
    make_wsj0(tmp_path / "wsj0", wsj0_rows)
    official = ("--lists", lists / "wsj0-mix")
    assert run("check", "wsj0", tmp_path / "wsj0", *official).exit_code == 0
    words = ("prepare", "wsj0-2mix", tmp_path / "wsj0", tmp_path / "out", *official)
    assert "9 mixtures made, 0 were there" in run(*words).output
    assert "0 mixtures made, 9 were there" in run(*words, "--workers", 4).output


def test_stats_of_speech_end_with_its_manifest(speakers, tmp_path):
    shown = run("stats", "folder", speakers, "--cache", tmp_path / "cache").output.split()
    source = folder(speakers, sample_rate=8000, cache=tmp_path / "other")
    assert shown[-2:] == ["manifest", source.manifest_hash]
    assert shown[shown.index("train") + 1] == str(len(source.split("train")))


def test_stats_of_mixtures_can_end_with_the_manifest_of_a_run_on_them(wsj0_2mix, tmp_path):
    words = ("stats", "wsj0-2mix", wsj0_2mix, "--mixtures", 1, "--cache", tmp_path / "cache")
    assert "manifest" not in run(*words).output
    config = DataConfig(source="wsj0-2mix")
    corpus = open_corpus(config, 2, speech=wsj0_2mix, cache=tmp_path / "other")
    assert run(*words, "--manifest").output.split()[-1] == corpus.manifest_hash


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "wjs0"), "no corpus 'wjs0'; choose from folder, prompts"),
        (("check", "wsj0", "."), r"name its folder, and that of the official lists \(--lists\)"),
        (("check", "whamr"), r"set WHAMR=/path/to/it"),
        (("stats", "folder"), r"set SPEECH=/path/to/it[\s\S]*speakers/alice/one\.flac"),
    ],
)
def test_mistake_names_the_way_out(words, message, monkeypatch):
    for name in ("SPEECH", "WHAMR"):
        monkeypatch.delenv(name, raising=False)
    result = run(*words)
    assert result.exit_code == 1
    with pytest.raises(ValueError, match=message):
        raise result.exception
