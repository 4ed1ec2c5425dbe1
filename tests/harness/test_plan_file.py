"""A saved plan says what analysis needs, and keeps what is finished."""

import json
import shutil
import threading
import time

import pytest

from tisdiss.harness import plan_file
from tisdiss.harness.plan_file import save_plan, saved_plans
from tisdiss.study.profiles import get_profile


def test_plan_file_says_what_analysis_needs(make_plan, tmp_path):
    planned = make_plan(["{id: a, label: A, paper: {si_snri.re3: 23.9}}"])
    (path,) = save_plan(planned, tmp_path / "runs")
    assert path == tmp_path / "runs/plans/demo.smoke.json"
    document = json.loads(path.read_text())
    (row,) = document["rows"]
    assert (row["label"], row["n_re_train"], row["paper"]) == ("A", 3, {"si_snri.re3": 23.9})
    assert row["runs"][0]["identity"] == planned.runs[0].identity
    assert row["runs"][0]["evaluation"] == planned.runs[0].evaluations[0].identity
    assert document["corpus"]["source"] == "synthetic"
    assert document["corpus"]["speakers_test"] == 2
    assert document["evaluate"]["n_re"] == [1, 2, 3, 4]


def test_a_partial_plan_keeps_the_rows_and_seeds_of_the_file(make_plan, tmp_path):
    lines = ["{id: a}", "{id: b, set: {model.n_re: 4}}"]
    save_plan(make_plan(lines), tmp_path / "runs")
    (path,) = save_plan(make_plan(lines, rows=["b"], seeds=[5]), tmp_path / "runs")
    found = {row["id"]: [run["seed"] for run in row["runs"]] for row in read(path)["rows"]}
    assert found == {"a": [0], "b": [0, 5]}


def seeds_of(path):
    return {row["id"]: [run["seed"] for run in row["runs"]] for row in read(path)["rows"]}


def test_two_commands_that_save_at_once_keep_the_seeds_of_both(make_plan, tmp_path, monkeypatch):
    runs, read_earlier = tmp_path / "runs", plan_file._earlier
    save_plan(make_plan(["{id: a}"]), runs)
    first, second = (make_plan(["{id: a}"], rows=["a"], seeds=[seed]) for seed in (1, 2))
    other = threading.Thread(target=save_plan, args=(second, runs))

    def interrupted(*args, **kwargs):
        """The other command begins once this one has read the file."""
        found = read_earlier(*args, **kwargs)
        if other.ident is None:
            other.start()
            time.sleep(0.3)
        return found

    monkeypatch.setattr(plan_file, "_earlier", interrupted)
    (path,) = save_plan(first, runs)
    other.join()
    assert seeds_of(path) == {"a": [0, 1, 2]}


def test_a_whole_plan_keeps_the_seeds_that_are_finished(make_plan, make_runner, tmp_path):
    first = make_plan(["{id: a}"], seeds=[0, 1])
    save_plan(first, tmp_path / "runs")
    make_runner().run(first.runs[1])
    (path,) = save_plan(make_plan(["{id: a}"], seeds=[2]), tmp_path / "runs")
    assert seeds_of(path) == {"a": [0, 1, 2]}
    (path,) = save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    assert seeds_of(path) == {"a": [0, 1]}


def test_seeds_of_other_settings_of_the_profile_are_not_kept(
    make_plan, make_runner, tmp_path, monkeypatch
):
    first = make_plan(["{id: a}"], seeds=[1])
    save_plan(first, tmp_path / "runs")
    make_runner().run(first.runs[0])
    smoke = get_profile("smoke")
    changed = smoke.model_copy(update={"set": {**smoke.set, "epochs": 3}})
    monkeypatch.setattr("tisdiss.study.words.get_profile", lambda name: changed)
    (path,) = save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    assert seeds_of(path) == {"a": [0]}


def test_shipped_weights_stay_one_run_when_seeds_are_added(make_plan, repository, tmp_path):
    (tmp_path / "models").mkdir()
    shutil.copy(repository / "models/base.safetensors", tmp_path / "models")
    for seeds in ([0], [1, 2]):
        planned = make_plan(["{id: a, weights: base}"], profile="mini", seeds=seeds)
        (path,) = save_plan(planned, tmp_path / "runs")
    (row,) = read(path)["rows"]
    assert [run["seed"] for run in row["runs"]] == [0]


def test_a_partial_plan_of_a_changed_study_starts_anew(make_plan, tmp_path):
    save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    (path,) = save_plan(
        make_plan(["{id: a}", "{id: b, set: {model.n_re: 4}}"], rows=["b"]), tmp_path / "runs"
    )
    assert [row["id"] for row in read(path)["rows"]] == ["b"]


def test_a_claim_in_other_words_changes_no_study(make_plan, tmp_path):
    plans = []
    for said in ("", ", says: Depth pays.", ", says: Depth pays., same_as: fig2a/c"):
        claim = f"""claims: [{{id: c, expr: "row('a') > 0", source: ours{said}}}]"""
        (path,) = save_plan(make_plan(["{id: a}"], more=claim), tmp_path / "runs")
        plans.append(read(path))
    assert len({plan["study_hash"] for plan in plans}) == 1
    assert [plan["claims"][0]["says"] for plan in plans] == [None, "Depth pays.", "Depth pays."]
    assert plans[-1]["claims"][0]["same_as"] == "fig2a/c"


def test_rows_of_one_name_are_labelled_with_their_ids(make_plan, tmp_path):
    lines = [
        "{id: a, set: {epochs: 1}}",
        "{id: b, set: {epochs: 3}}",
        "{id: c, set: {epochs: 4}, label: C}",
        "{id: d, model: sep1x2-re1x6}",
    ]
    expected = {
        "a": "sep1x2-re1x3-l1+3 (a)",
        "b": "sep1x2-re1x3-l1+3 (b)",
        "c": "C",
        "d": "sep1x2-re1x6-l1+6",
    }
    for rows in (None, ["b"]):
        (path,) = save_plan(make_plan(lines, rows=rows), tmp_path / "runs")
        assert {row["id"]: row["label"] for row in read(path)["rows"]} == expected


def test_a_damaged_plan_file_is_told_with_the_command_that_writes_it(make_plan, tmp_path):
    (path,) = save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match=r"demo\.smoke\.json: not JSON") as told:
        save_plan(make_plan(["{id: a}"], rows=["a"]), tmp_path / "runs")
    assert str(told.value).endswith("write it again with `tisdiss run demo --profile smoke`")
    save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    assert read(path)["study"] == "demo"


def test_of_many_saved_plans_a_damaged_one_is_told_and_left_out(make_plan, tmp_path):
    (path,) = save_plan(make_plan(["{id: a}"]), tmp_path / "runs")
    path.with_name("other.smoke.json").write_text('{"rows": [{"id": "a", "runs": {}}]}')
    told = []
    found = list(saved_plans(tmp_path / "runs", damaged=told.append))
    assert [plan.study for plan in found] == ["demo"]
    assert "other.smoke.json: rows.0.runs = {}: must be a valid list; delete it" in str(told[0])


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))
