"""What differs between two runs, in every respect that can change a number."""

import json

import pytest

from tisdiss.harness.diff import Difference, diff, find_run
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.records.run_folder import RunFolder
from tisdiss.shipped import weights_of
from tisdiss.study.load import load_study


@pytest.fixture
def two_runs(write_study, make_runner, corpora, tmp_path):
    """A run and one with another rate and other validation mixtures; their ids."""
    rows = ["{id: a}", "{id: b, set: {optim.lr: 1e-4, data.val_mixtures: 3}}"]
    study = load_study(write_study(rows))
    planned = plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)
    run(planned, runner=make_runner(), track=False)
    return [planned.identity[:10] for planned in planned.runs]


def named(differences):
    return {(d.part, d.what): (d.a, d.b) for d in differences}


def test_config_and_data_differences_are_named(two_runs, tmp_path):
    found = named(diff(tmp_path / "runs", *two_runs))
    assert found["config", "optim.lr"] == (1e-3, 1e-4)
    assert found["config", "data.val_mixtures"] == (2, 3)
    assert ("data", "training") in found
    assert not {part for part, _ in found} & {"code", "environment", "scores"}


def test_a_run_does_not_differ_from_itself(two_runs, tmp_path):
    assert diff(tmp_path / "runs", two_runs[0], two_runs[0]) == []


def test_code_environment_and_scores_count(two_runs, tmp_path):
    folder = tmp_path / "runs" / two_runs[1]
    told = json.loads((folder / "environment.json").read_text())
    changed = {**told, "torch": "1.0", "code_hash": "f" * 64}
    (folder / "environment.json").write_text(json.dumps(changed))
    journal = (
        (folder / "events.jsonl")
        .read_text()
        .replace('"depth/si_snri": 2.0', '"depth/si_snri": 2.5')
    )
    (folder / "events.jsonl").write_text(journal)
    found = named(diff(tmp_path / "runs", *two_runs))
    assert found["environment", "torch"] == (told["torch"], "1.0")
    assert found["code", "code_hash"] == (told["code_hash"], "f" * 64)
    assert found["scores", "si_snri.re2"] == (2.0, 2.5)


def test_packages_count_if_both_runs_have_a_list(two_runs, tmp_path):
    folder = tmp_path / "runs" / two_runs[1]
    told = json.loads((folder / "environment.json").read_text())
    packages = told["packages"] | {"scipy": "1.0"}
    (folder / "environment.json").write_text(json.dumps(told | {"packages": packages}))
    (found,) = [each for each in diff(tmp_path / "runs", *two_runs) if each.part == "packages"]
    assert str(found) == f"packages scipy: {told['packages']['scipy']} -> 1.0"
    del told["packages"]
    (folder / "environment.json").write_text(json.dumps(told))
    (found,) = [each for each in diff(tmp_path / "runs", *two_runs) if each.part == "packages"]
    assert (found.what, found.a, found.b) == ("number", len(packages), None)


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (
            Difference("scores", "si_snri.re3", 1.0, 1.25),
            "scores si_snri.re3: 1.00 -> 1.25 (+0.25) dB",
        ),
        (Difference("config", "optim.lr", 1e-3, 1e-4), "config optim.lr: 0.001 -> 0.0001"),
        (Difference("code", "code_hash", "ab" * 32, None), "code code_hash: ababababab -> -"),
    ],
)
def test_a_difference_reads_as_a_line(difference, text):
    assert str(difference) == text


def test_an_unknown_run_is_refused_with_those_there_are(two_runs, tmp_path):
    with pytest.raises(ValueError, match=r"'zzz' matches 0 runs of .*; valid names: "):
        find_run(tmp_path / "runs", "zzz")


@pytest.mark.parametrize("digits", ["ab", "ab" * 5, "ab" * 5 + "a", "ab" * 32])
def test_all_digits_count_wherever_a_run_is_named(tmp_path, digits):
    folder = RunFolder.of(tmp_path, "ab" * 32)
    folder.write("config.json", {"identity": folder.identity})
    folder.model_file.touch()
    RunFolder.of(tmp_path, "12" * 32).write("config.json", {"identity": "12" * 32})
    assert find_run(tmp_path, digits) == folder
    assert weights_of(digits, tmp_path) == folder.model_file
    other = digits[:-1] + "c"
    with pytest.raises(ValueError, match=f"'{other}' matches 0 runs of"):
        find_run(tmp_path, other)
    with pytest.raises(ValueError, match=f"'{other}': neither a file of weights nor the first dig"):
        weights_of(other, tmp_path)


def test_settings_that_were_allowed_in_their_time_are_compared_as_they_are(two_runs, tmp_path):
    path = tmp_path / "runs" / two_runs[1] / "config.json"
    told = json.loads(path.read_text())
    told["train"]["seed"] = 2**40
    path.write_text(json.dumps(told))
    found = named(diff(tmp_path / "runs", *two_runs))
    assert found["config", "seed"] == (0, 2**40) and found["config", "optim.lr"] == (1e-3, 1e-4)
