"""The recipe of a study: shared facts once, other facts with their rows."""

import json

import pytest

from tisdiss.analysis.frames import load_study
from tisdiss.analysis.recipe import VARIATIONS, recipe
from tisdiss.config import TrainConfig
from tisdiss.config.data import OF_DYNAMIC_MIXING

STEPS = 50
TRAIN = {"batch_size": 4, "epochs": 2, "steps_per_epoch": STEPS}


def facts(folder):
    frames = load_study(folder.save().runs_dir, "fig2e", "mini")
    return {fact.name: fact.text for fact in recipe(frames)}


def change(folder, row, file, **changes):
    path = folder.folder(row) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def trained(**changes):
    config = TrainConfig.model_validate(TRAIN | changes)
    return json.loads(config.model_dump_json())


@pytest.fixture
def folder(study_folder):
    folder = study_folder().row("a", {1: 3.0}).row("b", {1: 2.0})
    for row in "ab":
        change(folder, row, "config.json", train=trained())
    return folder


def test_what_all_rows_share_is_told_once(folder):
    told = facts(folder)
    assert told == {
        "training": "100 updates",
        "batch": "4 crops of 4 s",
        "mixing": "20,000 fixed mixtures",
        "codec": "conv2d, STFT 128/64, no mask",
        "loss average": "plain mean over all decoded outputs",
        "optimiser": "AdamW, rate 0.001 after 2000 updates, halved on a plateau",
        "weights": "mean of all 2 epochs",
        "rows": "2 of 2 rows of the study are reported",
        "seeds": "1 a row planned; 2 of 2 runs are finished",
        "code": f"one version, {told['code'][-8:]}",
    }


def test_what_differs_is_told_with_its_rows(folder):
    optim = {"kind": "muon", "schedule": "decay", "ema": 0.99}
    config = trained(optim=optim, data={"dynamic": True}, loss={"average": "eq1"}, epochs=3)
    change(folder, "b", "config.json", train=config)
    told = facts(folder)
    assert told["training"] == '100 updates ("a"); 100 of 150 updates ("b")'
    assert told["batch"] == "4 crops of 4 s"
    assert told["mixing"].endswith(
        '("a"); dynamic: new pairs, gains and offsets for every crop ("b")'
    )
    assert told["loss average"].endswith('averaged over its own outputs first (Eq. 1) ("b")')
    assert told["optimiser"].endswith(
        "Muon at 0.02, AdamW for the rest, rate 0.001 after 2000 updates, to zero over the last "
        '30%, weights averaged by 0.99 ("b")'
    )


def test_versions_of_the_code_name_the_files_that_differ(folder):
    for row, model in (("a", "1"), ("b", "2")):
        files = {"train.py": "7", "model.py": model}
        change(folder, row, "environment.json", code_hash=model * 64, code_files=files)
    assert facts(folder)["code"] == (
        '2 versions: 11111111 ("a"); 22222222 ("b"). They differ in model.py'
    )


def test_versions_of_earlier_runs_differ_in_files_that_nobody_wrote_down(folder):
    change(folder, "b", "environment.json", code_hash="2" * 64)
    assert facts(folder)["code"].endswith("The files that differ were not recorded")


def test_rows_that_are_not_reported_count(study_folder):
    folder = study_folder().row("a", {1: 3.0}, seeds=(0, 1), absent=(1,))
    folder.row("b", {1: 2.0}, seeds=(0,), absent=(0,))
    folder.plan["order"] = ["a", "b", "never planned"]
    told = facts(folder)
    assert told["rows"] == "1 of 3 rows of the study are reported"
    assert told["seeds"] == "1 to 2 a row planned; 1 of 3 runs are finished"


def test_each_setting_of_dynamic_mixing_is_told(folder):
    assert VARIATIONS.keys() == OF_DYNAMIC_MIXING.keys()
    varied = {"speed": 0.05, "pairs": "different-sexes", "turns": 0.25, "train_gain_db": 5.0}
    for row in "ab":
        config = trained(data={"source": "folder", "dynamic": True, **varied})
        change(folder, row, "config.json", train=config)
    assert facts(folder)["mixing"] == (
        "dynamic: new pairs, gains and offsets for every crop, voices up to 5% faster or "
        "slower, a woman and a man each, a speaker silent for a while in 25% of the mixtures, "
        "gains of ± 5 dB"
    )
