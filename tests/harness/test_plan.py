"""A plan holds each run once, parents first, and knows what is already there."""

import json

import pytest
import torch

from tisdiss.config import ModelConfig
from tisdiss.harness.plan import Plan, count_parameters, plan
from tisdiss.harness.run import run
from tisdiss.harness.study import load_study


@pytest.fixture
def make_plan(write_study, corpora, tmp_path):
    def make(lines, profile="smoke", more="", **options):
        study = load_study(write_study(lines, more=more))
        return plan(
            [study], profile, runs_dir=tmp_path / "runs", corpora=corpora, root=tmp_path, **options
        )

    return make


def rows_of(planned):
    return {row.id: row for row in planned.studies[0].rows}


def test_rows_times_seeds(make_plan):
    planned = make_plan(["{id: a}", "{id: b, set: {model.n_re: 4}}"], seeds=[0, 1])
    assert [(run.name, run.seed) for run in planned.runs] == [
        ("sep1x2-re1x3-l1+3", 0),
        ("sep1x2-re1x3-l1+3", 1),
        ("sep1x2-re1x4-l1+4", 0),
        ("sep1x2-re1x4-l1+4", 1),
    ]


def test_equal_rows_of_one_study_are_one_run(make_plan):
    planned = make_plan(["{id: a}", "{id: b, set: {model.n_re: 3}}"])
    (only,) = planned.runs
    assert [member.row for member in only.members] == ["a", "b"]
    assert len(only.evaluations) == 1


def test_equal_rows_of_two_studies_are_one_run_with_both_evaluations(
    write_study, corpora, tmp_path
):
    more = "profiles: {smoke: {evaluate: {n_re: 1..6}}}\n"
    one = load_study(write_study(["{id: a}"], name="one"))
    two = load_study(write_study(["{id: b}"], name="two", more=more))
    planned = plan([one, two], "smoke", runs_dir=tmp_path, corpora=corpora)
    (only,) = planned.runs
    assert [(member.study, member.row) for member in only.members] == [("one", "a"), ("two", "b")]
    assert [e.config.n_re[-1] for e in only.evaluations] == [4, 6]


def test_fine_tune_comes_after_its_parent_and_has_its_identity(make_plan):
    planned = make_plan(["{id: b, init_from: a}", "{id: a}"])
    parent, child = planned.runs
    assert (parent.kind, child.kind) == ("train", "finetune")
    assert child.parent == child.config.parent == parent.identity


def test_another_parent_makes_another_fine_tune(make_plan):
    rows = ["{id: b, init_from: %s, model: sep1x2-re1x4}", "{id: a}", "{id: c, set: {epochs: 1}}"]
    fine_tunes = []
    for parent in "ac":
        planned = make_plan([rows[0] % parent, *rows[1:]])
        fine_tunes += [run.identity for run in planned.runs if run.kind == "finetune"]
    assert len(set(fine_tunes)) == 2


def test_weights_that_a_profile_trains_are_a_run_that_no_row_needs_to_name(make_plan):
    planned = make_plan(["{id: b, init_from: weights:base}"])
    parent, child = planned.runs
    assert parent.kind == "train" and parent.members == () and parent.evaluations == ()
    assert child.parent == parent.identity


def test_row_of_weights_that_a_profile_trains_is_that_run(make_plan):
    planned = make_plan(["{id: a, weights: base}", "{id: b, init_from: weights:base}"])
    row = rows_of(planned)["a"]
    assert (row.kind, row.runs[0].identity) == ("train", planned.runs[1].parent)


def test_weights_file_that_is_missing_is_named(make_plan, monkeypatch, tmp_path):
    monkeypatch.setattr("tisdiss.harness.shipped.__file__", str(tmp_path / "a/b/c.py"))
    with pytest.raises(ValueError, match=r"models/base\.safetensors: no such weights file"):
        make_plan(["{id: a, weights: base}"], profile="mini")


def test_weights_that_no_profile_names_are_refused(make_plan):
    more = "profiles: {mini: {weights: {tiny: {train: sep1x2-re1x3}}}}\n"
    with pytest.raises(ValueError, match="'weights:tiny': this profile does not say what they are"):
        make_plan(["{id: a, weights: tiny}"], more=more)


def test_published_rows_are_quoted_and_not_run(make_plan):
    row = "{id: q, label: Other, published: {si_snri: 23.8}, source: there}"
    planned = make_plan(["{id: a}", row])
    assert len(planned.runs) == 1 and list(rows_of(planned)) == ["a"]
    document = planned.studies[0].document()
    assert document["published"] == [
        {"id": "q", "label": "Other", "published": {"si_snri": 23.8}, "source": "there"}
    ]


def test_plan_file_says_what_analysis_needs(make_plan, tmp_path):
    planned = make_plan(["{id: a, label: A, paper: {si_snri.re3: 23.9}}"])
    (path,) = planned.save(tmp_path / "runs")
    assert path == tmp_path / "runs/plans/demo.smoke.json"
    document = json.loads(path.read_text())
    (row,) = document["rows"]
    assert (row["label"], row["n_re_train"], row["paper"]) == ("A", 3, {"si_snri.re3": 23.9})
    assert row["runs"][0]["identity"] == planned.runs[0].identity
    assert row["runs"][0]["evaluation"] == planned.runs[0].evaluations[0].identity
    assert document["corpus"]["source"] == "synthetic"
    assert document["corpus"]["speakers_test"] == 2
    assert document["evaluate"]["n_re"] == [1, 2, 3, 4]


def test_only_some_rows_can_be_planned(make_plan):
    assert list(rows_of(make_plan(["{id: a}", "{id: b, set: {epochs: 1}}"], rows=["b"]))) == ["b"]


def test_planning_writes_nothing(make_plan, tmp_path):
    make_plan(["{id: a}"])
    assert not (tmp_path / "runs").exists()


def test_nothing_is_to_do_after_running(make_plan, make_runner):
    rows = ["{id: a}", "{id: b, init_from: a, model: sep1x2-re1x6}"]
    before = make_plan(rows)
    assert [run.state for run in before.todo] == ["new", "new"]
    run(before, runner=make_runner(), track=False)
    assert make_plan(rows).todo == ()


def test_a_new_depth_asks_for_an_evaluation_and_for_no_training(make_plan, make_runner):
    before = make_plan(["{id: a}"])
    run(before, runner=make_runner(), track=False)
    more = "profiles: {smoke: {evaluate: {n_re: 1..9}}}\n"
    (after,) = make_plan(["{id: a}"], more=more).runs
    assert (after.identity, after.state) == (before.runs[0].identity, "partial")


def test_a_plan_survives_its_file(make_plan):
    planned = make_plan(["{id: a}"])
    assert Plan.model_validate_json(planned.model_dump_json()) == planned


def test_run_is_found_by_its_first_digits(make_plan):
    planned = make_plan(["{id: a}"])
    assert planned.run(planned.runs[0].identity[:10]) is planned.runs[0]
    with pytest.raises(ValueError, match="'0000' is no run of this plan; there are: "):
        planned.run("0000")


def test_counting_parameters_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    assert count_parameters(ModelConfig()) == 8_011_779
    assert torch.equal(torch.get_rng_state(), before)
