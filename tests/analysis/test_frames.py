"""Frames of a study: finished, missing and damaged runs, and test sets that must not be mixed."""

import json

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.frames import load_study
from tisdiss.analysis.stats import depth_curve


def load(folder, study="fig2e", profile="mini"):
    return load_study(folder.runs_dir, study, profile)


def test_scores_carry_their_row_seed_and_training_depth(study_folder):
    frames = load(study_folder().row("a", {1: 5.0, 2: 6.0}, n_re_train=2, seeds=(0, 3)))
    assert len(frames.scores) == 2 * 2 * 40 * 2
    assert set(frames.scores["seed"]) == {0, 3}
    assert set(frames.scores["n_re_train"]) == {2}
    assert frames.runs["steps"].tolist() == [100, 100]
    assert frames.incomplete == []


def test_unplanned_study_names_the_command_and_what_there_is(study_folder):
    folder = study_folder().row("a", {1: 5.0})
    match = r"`tisdiss run fig2a --profile lab` first; existing plans: fig2e\.mini"
    with pytest.raises(ValueError, match=match):
        load(folder, "fig2a", "lab")


def test_plan_of_another_schema_is_refused(study_folder):
    folder = study_folder().row("a", {1: 5.0})
    folder.plan["schema"] = 2
    with pytest.raises(ValueError, match="schema 2, this version reads 1"):
        load(folder.save())


def test_missing_and_failed_runs_are_listed_and_their_rows_marked(study_folder):
    folder = study_folder().row("a", {1: 5.0}).row("b", {1: 6.0}, seeds=(0, 1), absent=(1,))
    frames = load(folder.row("c", {1: 7.0}, status="diverged"))
    assert frames.runs["status"].tolist() == ["done", "done", "missing", "diverged"]
    assert frames.incomplete == ["b", "c"]
    assert set(frames.scores["row"]) == {"a", "b"}
    rows = frames.plan.rows
    assert [row.scored_seeds for row in rows] == [None, [0], []]
    assert [row.shown_seeds for row in rows] == [[0], [0], []]
    assert [row.planned_seeds for row in rows] == [[0], [0, 1], [0]]
    assert [row.is_torn for row in rows] == [False, True, False]


def test_finished_run_without_scores_is_not_evaluated(study_folder):
    folder = study_folder().row("a", {1: 5.0})
    next(folder.folder("a").glob("evaluations/*/evaluation.json")).unlink()
    frames = load(folder)
    assert frames.runs["status"].tolist() == ["not evaluated"]
    assert frames.scores.empty


def test_imported_weights_count_as_a_run(study_folder):
    assert load(study_folder().row("base", {1: 5.0}, status="imported")).incomplete == []


def test_rows_of_different_test_sets_are_refused_naming_both(study_folder):
    folder = study_folder().row("a", {1: 5.0}, test_manifest="aaaa")
    folder.row("b", {1: 5.0}, test_manifest="bbbb")
    with pytest.raises(ValueError, match="row 'a', seed 0 has aaaa, row 'b', seed 0 has bbbb"):
        load(folder)


def test_scores_of_another_test_set_than_the_plans_are_refused(study_folder):
    folder = study_folder().row("a", {1: 5.0}, test_manifest="aaaa")
    folder.plan["corpus"]["test_manifest"] = "cccc"
    with pytest.raises(ValueError, match="the plan has cccc, row 'a', seed 0 has aaaa"):
        load(folder.save())


def test_runs_that_scored_different_mixtures_are_refused(study_folder):
    folder = study_folder().row("a", {1: 5.0}).row("b", {1: 5.0}, mixtures=39)
    with pytest.raises(ValueError, match=r"different mixtures \(1 differ, first 'm0039'"):
        load(folder)


def damaged(frames):
    """The row, reason and problem of the one run that is damaged; the others are there."""
    found = frames.runs[frames.runs["status"] == "damaged"]
    assert frames.incomplete == found["row"].tolist() and not found["scored"].any()
    assert set(frames.scores["row"]) == {"b"} and len(frames.problems) == 1
    assert frames.problems[0].startswith(f"row {found['row'].item()}, seed 0: ")
    return found["reason"].item()


@pytest.fixture
def two_rows(study_folder):
    return study_folder().row("a", {1: 5.0}).row("b", {1: 6.0})


def test_folder_of_another_run_is_damaged(two_rows):
    (two_rows.folder("a") / "config.json").write_text(json.dumps({"identity": "f" * 64}))
    assert "belongs to fff" in damaged(load(two_rows))


def test_mixture_scored_twice_is_damaged(two_rows):
    path = next(two_rows.folder("a").glob("evaluations/*/scores.parquet"))
    scores = pd.read_parquet(path)
    pd.concat([scores, scores.tail(1)]).to_parquet(path)
    assert "mixture 'm0039' at n_re=1 more than once" in damaged(load(two_rows))


def words_for_numbers(scores):
    return scores.astype({"si_snri": str})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda scores: scores.drop(columns="sdri"), "lacks sdri: delete"),
        (lambda scores: scores.head(0), "has no scores: delete"),
        (words_for_numbers, "has si_snri that is not a number: delete"),
        (lambda scores: scores.assign(n_re=None), "has lines without mixture or depth"),
    ],
)
def test_scores_that_lack_something_are_damaged(two_rows, change, told):
    path = next(two_rows.folder("a").glob("evaluations/*/scores.parquet"))
    change(pd.read_parquet(path)).to_parquet(path)
    assert told in damaged(load(two_rows))


def test_scores_that_cannot_be_read_say_how_to_get_them_anew(two_rows):
    path = next(two_rows.folder("a").glob("evaluations/*/scores.parquet"))
    path.write_bytes(path.read_bytes()[:1000])
    reason = damaged(load(two_rows))
    assert "cannot be read" in reason and "run the study again" in reason
    assert str(two_rows.runs_dir) not in reason
    path.unlink()
    assert "scores.parquet is missing: delete" in damaged(load(two_rows))
    path.mkdir()
    assert "scores.parquet is not a file: delete" in damaged(load(two_rows))


def test_torn_result_names_the_file(two_rows):
    (two_rows.folder("a") / "result.json").write_text('{"status": "do')
    assert "result.json: not JSON" in damaged(load(two_rows))


def test_changes_to_an_unknown_commit_are_unknown(two_rows):
    path = two_rows.folder("a") / "environment.json"
    path.write_text(json.dumps({"git": {"commit": None, "dirty": False}}))
    first, second = load(two_rows).runs["dirty"]
    assert first is pd.NA and not second


def test_undefined_scores_are_counted_as_missing(study_folder):
    folder = study_folder().row("a", {1: 5.0})
    path = next(folder.folder("a").glob("evaluations/*/scores.parquet"))
    scores = pd.read_parquet(path)
    scores.loc[:2, "si_snri"] = [np.nan, np.inf, np.nan]
    scores.to_parquet(path)
    frames = load(folder)
    assert frames.undefined == {"si_snr": 0, "si_snri": 3, "sdr": 0, "sdri": 0}
    curve = depth_curve(frames.scores, rng=np.random.default_rng(0))
    assert curve["n_missing"].item() == 3
    assert np.isfinite(curve["mean"].item())


ABOUT_TIMING = {
    "rounds": 3,
    "seconds": 2.0,
    "environment": {"threads": 1, "torch": "2", "cpu": "a CPU", "accelerator": None},
}


def time_row(folder, row, identity=None):
    """Factors of a row, as `tisdiss time` writes them."""
    own = folder.plan["rows"][0]["runs"][0]["identity"]
    rows = {row: {"identity": identity or own, "rtf": {"1": 0.5}}}
    document = ABOUT_TIMING | {"rows": rows}
    path = folder.runs_dir / "timings" / "fig2e.mini.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def test_real_time_factors_join_the_rows_that_were_timed(study_folder):
    folder = study_folder().row("a", {1: 3.0}).row("b", {1: 3.0})
    assert load_study(folder.runs_dir, "fig2e", "mini").plan.timing is None
    time_row(folder, "a")
    plan = load_study(folder.runs_dir, "fig2e", "mini").plan
    assert [row.rtf for row in plan.rows] == [{"1": 0.5}, None]
    assert plan.timing.plain() == ABOUT_TIMING


def test_factors_of_another_run_than_the_planned_are_not_shown(study_folder):
    folder = study_folder().row("a", {1: 3.0})
    time_row(folder, "a", identity="f" * 64)
    assert load_study(folder.runs_dir, "fig2e", "mini").plan.rows[0].rtf is None
