"""Entries of installed packages: names that are taken, faults that are told with the package."""

import pytest
import torch

from tisdiss.config import DataConfig, TrainConfig, named
from tisdiss.contract import WHOLE_MODELS
from tisdiss.cost import planned
from tisdiss.data import open_corpus
from tisdiss.metrics import improvements
from tisdiss.plugins import PluginError
from tisdiss.records.names import MEASURES
from tisdiss.speech_sources import SOURCES

MODEL = """
from tisdiss.config import Config
from tisdiss.contract import WholeModel
from torch import nn
class Settings(Config):
    n_src: int = 2
    sample_rate: int = 8000
class Net(nn.Module):
    def __init__(self, settings):
        {made}
        super().__init__()
MODEL = WholeModel(module="{name}:Net", settings="{name}:Settings")
"""
MEASURE = """
from tisdiss.records.names import Measure
def score(estimates, sources):
    return {score}
SCORE = Measure("Score", "{name}:score")
"""
CORPUS = """
from tisdiss.speech_sources import Licence, SpeechSource
def read(*, sample_rate, cache, on_progress):
    {read}
CORPUS = SpeechSource(licence=Licence(True, "Free."), reader="{name}:read")
"""


def model(name: str, made: str = "pass") -> str:
    return MODEL.format(name=name, made=made)


def test_two_packages_with_one_name_are_refused(installed):
    for name in ("one", "two"):
        installed(name, model(name), models={"net": f"{name}:MODEL"})
    with pytest.raises(
        PluginError, match=r"'net' is in two packages, (one|two) 1\.0 and (one|two) "
    ):
        named("net")
    with pytest.raises(PluginError, match="uninstall one of them"):
        list(WHOLE_MODELS)


@pytest.mark.parametrize("taken", ["sepreformer", "tisdiss", "tf-gridnet"])
def test_a_name_of_ours_is_refused(installed, taken):
    installed("mine", model("mine"), models={taken: "mine:MODEL"})
    with pytest.raises(PluginError, match=f"package mine 1.0 has an entry '{taken}', which is"):
        list(WHOLE_MODELS)
    assert TrainConfig().model.name == "sep1x2-re1x3-l1+3"  # what needs no package goes on


@pytest.mark.parametrize("taken", ["grid", "n-re", "settings", "copy"])
def test_a_name_that_is_a_setting_is_refused(installed, taken):
    installed("mine", model("mine"), models={taken: "mine:MODEL"})
    with pytest.raises(PluginError, match=rf"mine 1\.0: '{taken}' is a setting that models have"):
        named(taken)


@pytest.mark.parametrize(
    ("group", "table", "taken"),
    [
        ("corpora", SOURCES, "folder"),
        ("metrics", MEASURES, "si_snr"),
        ("metrics", MEASURES, "si_snri"),
    ],
)
def test_a_corpus_or_measure_of_ours_is_refused(installed, group, table, taken):
    installed("mine", "X = 1", **{group: {taken: "mine:X"}})
    with pytest.raises(PluginError, match=f"'{taken}', which is the name of a built-in one"):
        list(table)


@pytest.mark.parametrize(
    ("code", "value", "rule"),
    [
        ("1 / 0", "mine:X", r"mine 1\.0 cannot be imported \(ZeroDivisionError: division by zero"),
        ("X = 1", "mine:Y", r"mine 1\.0 cannot be imported \(AttributeError"),
        ("X = 1", "mine:X", "mine 1.0 is a int, where a WholeModel is needed; mend the package"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_the_package(installed, code, value, rule):
    installed("mine", code, models={"net": value})
    with pytest.raises(PluginError, match=rule):
        named("net")


def test_a_name_that_no_setting_could_have_is_refused(installed):
    installed("mine", model("mine"), models={"My Net": "mine:MODEL"})
    with pytest.raises(PluginError, match="'My Net', where a name is like"):
        list(WHOLE_MODELS)


def test_a_model_that_cannot_be_counted_is_told(installed):
    installed("mine", model("mine", made="raise KeyError('lost')"), models={"net": "mine:MODEL"})
    with pytest.raises(PluginError, match=r"of package mine 1\.0 cannot be counted: .*mine 1\.0"):
        planned.parameters(named("net"))


@pytest.mark.parametrize(
    ("score", "rule"),
    [
        ("1 / 0", "raised ZeroDivisionError"),
        ("estimates.sum()", r"raised ValueError: torch.Size\(\[\]\) for signals of"),
        ("0 * estimates.sum(-1) / 0", "is NaN for sound estimates and sources"),
    ],
)
def test_a_measure_that_gives_no_numbers_is_told(installed, score, rule):
    installed("mine", MEASURE.format(name="mine", score=score), metrics={"worth": "mine:SCORE"})
    sources = torch.eye(2, 1000)[None]
    with pytest.raises(PluginError, match=f"metric 'worth' of package mine 1.0 {rule}"):
        improvements(sources + 0.1, sources, sources.sum(1))


@pytest.mark.parametrize(
    ("read", "rule"),
    [
        ("raise OSError('no disk')", "corpus 'tales' of package mine 1.0 raised OSError: no disk"),
        ("return 3", "corpus 'tales' of package mine 1.0: its reader returned a int, no Source"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_told(installed, tmp_path, read, rule):
    installed("mine", CORPUS.format(name="mine", read=read), corpora={"tales": "mine:CORPUS"})
    with pytest.raises(PluginError, match=rule):
        open_corpus(DataConfig(source="tales"), 2, speech=None, cache=tmp_path)
