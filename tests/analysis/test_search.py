"""The report of a search: all trials, the front, the best so far."""

import json

import pytest

from tisdiss.analysis.search import report_search, search_figure, trial_frame
from tisdiss.records.search_record import SearchFile


def found(objectives=("si_snri", "macs")):
    values = [(9.0, 4e9), (8.0, 1e9), (7.0, 2e9), None]
    trials = [
        {
            "number": k,
            "state": "complete" if value else "pruned",
            "params": {"optim.lr": 10.0 ** -(k + 2)},
            "values": value and list(value[: len(objectives)]),
            "identity": f"{k}" * 64,
        }
        for k, value in enumerate(values)
    ]
    head = {"search": "search_demo", "title": "Which?", "profile": "smoke", "n_re": 3}
    best = [0, 1] if len(objectives) == 2 else [0]
    return {**head, "objectives": list(objectives), "trials": trials, "best": best}


def test_a_trial_without_a_value_is_a_row_without_one():
    frame = trial_frame(SearchFile.model_validate(found()))
    assert list(frame["state"]) == ["complete"] * 3 + ["pruned"]
    assert frame["si_snri"].isna().sum() == 1 and list(frame["best"]) == [True, True, False, False]


def test_the_front_goes_through_the_best_trials_in_order_of_cost():
    data = SearchFile.model_validate(found())
    (axes,) = search_figure(trial_frame(data), data).axes
    (front,) = [line for line in axes.lines if line.get_label() == "front"]
    assert list(front.get_xdata()) == [1.0, 4.0] and list(front.get_ydata()) == [8.0, 9.0]


def test_one_objective_shows_the_best_so_far():
    data = SearchFile.model_validate(found(("si_snri",)))
    (axes,) = search_figure(trial_frame(data), data).axes
    (best,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert list(best.get_ydata()) == [9.0, 9.0, 9.0]


def test_the_report_has_its_files(tmp_path):
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches/search_demo.smoke.json").write_text(json.dumps(found()))
    paths = report_search("search_demo", "smoke", tmp_path, tmp_path / "reports")
    assert {path.name for path in paths} == {
        *("trials.csv", "trials.md"),
        *(f"search_demo.{form}" for form in ("pdf", "png", "svg")),
    }
    assert "| 0 | complete | 0.01 | 9 | 4e+09 | yes | 0000000000 |" in paths[1].read_text()


def test_a_search_without_trials_is_told_how_to_run(tmp_path):
    with pytest.raises(ValueError, match="first `tisdiss search search_demo --profile mini`"):
        report_search("search_demo", "mini", tmp_path, tmp_path)
