"""A plan holds each run once, parents first, and knows what is already there."""

import shutil

import pytest

from tisdiss.cost import formulas
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.plan import Plan
from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.study.load import load_study


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
    monkeypatch.setattr("tisdiss.study.shipped_weights.SHIPPED", tmp_path / "nothing shipped")
    with pytest.raises(ValueError, match=r"models/base\.safetensors: no such weights file"):
        make_plan(["{id: a, weights: base}"], profile="mini")


@pytest.mark.parametrize("row", ["{id: b, weights: base}", "{id: b, init_from: weights:base}"])
def test_shipped_weights_do_not_hear_data_of_another_rate(make_plan, repository, tmp_path, row):
    shutil.copytree(repository / "models", tmp_path / "models")
    more = "profiles: {mini: {set: {data.sample_rate: 16000, model.codec.sample_rate: 16000}}}\n"
    told = r"\.yaml:7:10: 'b': data\.sample_rate=16000: the model works at 8000 Hz; set data"
    with pytest.raises(ValueError, match=told):
        make_plan(["{id: a}", row], profile="mini", more=more)


def test_weights_that_no_profile_names_are_refused(make_plan):
    more = "profiles: {mini: {weights: {tiny: {train: sep1x2-re1x3}}}}\n"
    with pytest.raises(ValueError, match="'weights:tiny': this profile does not define them"):
        make_plan(["{id: a, weights: tiny}"], more=more)


def test_published_rows_are_quoted_and_not_run(make_plan):
    row = "{id: q, label: Other, published: {si_snri: 23.8}, source: there}"
    planned = make_plan(["{id: a}", row])
    assert len(planned.runs) == 1 and list(rows_of(planned)) == ["a"]
    document = planned.studies[0].record().plain()
    assert document["published"] == [
        {
            "id": "q",
            "label": "Other",
            "published": {"si_snri": 23.8},
            "source": "there",
            "corpus": "clean",
            "marks": None,
        }
    ]


def test_only_some_rows_can_be_planned(make_plan):
    assert list(rows_of(make_plan(["{id: a}", "{id: b, set: {epochs: 1}}"], rows=["b"]))) == ["b"]


def test_a_row_that_is_only_quoted_is_refused_with_the_rows_that_run(make_plan):
    rows = ["{id: a}", "{id: q, published: {si_snri: 23.8}}", "{id: b, set: {epochs: 1}}"]
    told = "study 'demo': row 'q' is quoted, nothing is run; name one of a, b"
    for named in (["q"], ["a", "q"]):
        with pytest.raises(ValueError) as refused:
            make_plan(rows, rows=named)
        assert str(refused.value) == told
    with pytest.raises(ValueError, match="study 'demo': all rows are quoted, nothing is run"):
        make_plan(rows[1:2])


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
    with pytest.raises(ValueError, match="'0000' is not a run of this plan; choose from "):
        planned.run("0000")


def test_used_row_is_the_other_studys_run_with_its_own_depths_and_looks(
    write_study, corpora, tmp_path
):
    write_study(["{id: a, label: A, set: {epochs: 1}, paper: {si_snri.re2: 1.5}}"], name="one")
    more = "profiles: {smoke: {evaluate: {n_re: 1..6}, set: {batch_size: 1}}}\n"
    rows = ["{id: u, use: one/a}", "{id: b, set: {epochs: 1}}"]
    two = load_study(write_study(rows, name="two", more=more))
    planned = plan([two], "smoke", runs_dir=tmp_path, corpora=corpora)
    used, own = planned.runs
    assert (used.config.epochs, used.config.batch_size, own.config.batch_size) == (1, 2, 1)
    assert used.evaluations[0].config.n_re == (1, 2, 3, 4, 5, 6)
    row = rows_of(planned)["u"]
    assert (row.label, row.paper, row.at) == ("A", {"si_snri.re2": 1.5}, (2,))


def test_fine_tune_of_a_used_row_starts_from_its_run(write_study, corpora, tmp_path):
    one = load_study(write_study(["{id: a, set: {epochs: 1}}"], name="one"))
    rows = ["{id: u, use: one/a}", "{id: b, init_from: u, model: sep1x2-re1x6}"]
    two = load_study(write_study(rows, name="two"))
    parent, child = plan([one, two], "smoke", runs_dir=tmp_path, corpora=corpora).runs
    assert child.parent == parent.identity
    assert [member.study for member in parent.members] == ["one", "two"]


def test_a_corpus_role_is_what_the_profile_says(make_plan):
    rows = ["{id: a}", "{id: b, corpus: noisy-reverberant}", "{id: c, corpus: large-clean}"]
    planned = make_plan(rows)
    conditions = [(run.config.data.condition, run.config.data.seed) for run in planned.runs]
    assert conditions == [(None, 0), ("noisy-reverberant", 0), (None, 1)]
    document = planned.studies[0].record().plain()
    assert [row["corpus"] for row in document["rows"]] == [
        "clean",
        "noisy-reverberant",
        "large-clean",
    ]
    manifests = {role: told["test_manifest"] for role, told in document["corpora"].items()}
    assert len(manifests) == 3 and document["corpus"] == document["corpora"]["clean"]


def test_corpus_of_the_study_holds_for_its_rows(make_plan):
    planned = make_plan(["{id: a}", "{id: b, corpus: clean}"], more="corpus: large-clean\n")
    assert [run.config.data.seed for run in planned.runs] == [1, 0]


def test_a_model_without_early_split_is_scored_at_its_trained_depth_alone(make_plan):
    planned = make_plan(["{id: a, model: sep1x6-l1x6}"])
    assert planned.runs[0].evaluations[0].config.n_re == ()
    row = rows_of(planned)["a"]
    assert (row.at, list(row.macs)) == ((0,), [0])


def test_a_baseline_has_the_codec_of_its_profile_or_of_its_row(make_plan):
    row = "{id: a, model: tf-locoformer-sep3x2-l1x2%s}"
    (profiles,) = make_plan([row % ""], profile="mini").runs
    (own,) = make_plan([row % ", set: {model.codec.kind: conv2d, model.mask: false}"]).runs
    assert (profiles.config.model.codec.kind, profiles.config.model.mask) == ("bands-conv1d", True)
    assert (own.config.model.codec.kind, own.config.model.mask) == ("conv2d", False)


def test_a_row_at_another_n_sep_is_the_same_run_scored_again(make_plan):
    planned = make_plan(["{id: a}", "{id: once, n_sep: 1}", "{id: same, n_sep: 2}"])
    (run,) = planned.runs
    assert [evaluation.config.n_sep for evaluation in run.evaluations] == [None, 1]
    a, once, same = rows_of(planned).values()
    assert (a.n_sep, once.n_sep, same.n_sep) == (None, 1, None)
    assert a.runs == same.runs and a.runs[0].identity == once.runs[0].identity
    assert a.macs == same.macs
    model = run.config.model
    block = formulas.macs(model, 4, n_sep=2) - formulas.macs(model, 4, n_sep=1)
    assert all(abs(a.macs[n] - once.macs[n] - block / 4) <= 1 for n in a.macs)


def test_row_says_its_cost_and_its_marks(make_plan):
    row = rows_of(make_plan(["{id: a, at: [1, 3], marks: {es: true}}"]))["a"]
    assert (row.at, row.marks.es, row.marks.ml) == ((1, 3), True, False)
    assert list(row.macs) == [1, 2, 3, 4]
    assert row.macs[3] - row.macs[2] == row.macs[2] - row.macs[1] > 0


def test_plan_file_keeps_the_order_of_trained_and_published_rows(make_plan):
    quoted = "{id: q, published: {si_snri: 1}, source: there, corpus: large-clean}"
    document = make_plan(["{id: a}", quoted, "{id: b}"]).studies[0].record().plain()
    assert document["order"] == ["a", "q", "b"]
    assert document["published"][0]["corpus"] == "large-clean"


def test_a_plan_of_some_rows_keeps_the_order_of_all(make_plan):
    quoted = "{id: q, published: {si_snri: 1}, source: there}"
    rows = ["{id: a}", quoted, "{id: b, model: sep1x1-re1x2-l1}", "{id: c, model: sep1x1-re1x2-l2}"]
    document = make_plan(rows, rows=["c", "b"]).studies[0].record().plain()
    assert document["order"] == ["a", "q", "b", "c"]
    assert {row["id"] for row in document["rows"]} == {"b", "c"}
    assert [row["id"] for row in document["published"]] == ["q"]


class NoCorpora(Corpora):
    def open(self, data, n_src):
        raise ValueError(f"no corpus was given: set {data.source.upper()}=/path/to/it")


class NoThreeSpeakers(Corpora):
    def open(self, data, n_src):
        if n_src == 3:
            raise ValueError("no mixtures of three")
        return super().open(data, n_src)


def test_a_corpus_is_missing_only_for_the_number_of_speakers_that_it_lacks(write_study, tmp_path):
    study = load_study(write_study(["{id: a, set: {model.n_src: 3}}", "{id: b}"]))
    planned = plan([study], "smoke", runs_dir=tmp_path, corpora=NoThreeSpeakers())
    unknown = {run.config.model.n_src: run.unknown for run in planned.runs}
    assert unknown == {3: "corpus 'synthetic' cannot be opened: no mixtures of three", 2: None}


def test_without_the_corpus_the_plan_shows_runs_but_is_neither_saved_nor_run(
    write_study, make_runner, tmp_path
):
    study = load_study(write_study(["{id: a}", "{id: b, init_from: a, model: sep1x2-re1x6}"]))
    planned = plan([study], "paper", runs_dir=tmp_path, corpora=NoCorpora())
    assert [(run.name, run.code) for run in planned.runs] == [
        ("sep1x2-re1x3-l1+3", "?"),
        ("sep1x2-re1x6-l1+6", "?"),
    ]
    (reason,) = planned.unknown
    assert reason == (
        "corpus 'wsj0-2mix' cannot be opened: no corpus was given: set WSJ0-2MIX=/path/to/it"
    )
    with pytest.raises(ValueError, match="no corpus was given"):
        run(planned, runner=make_runner(), track=False)
