"""The report of a search: all trials, the front, the best so far."""

import json

import pytest

from tisdiss.analysis.search import read_search, report_search, search_figure, trial_frame
from tisdiss.records.search_record import SearchFile


def found(objectives=("si_snri", "macs")):
    scores = [{"si_snri": 9.0, "macs": 4e9}, {"si_snri": 8.0, "macs": 1e9}]
    scores += [{"si_snri": 7.0, "macs": 2e9}, None]
    trials = [
        {
            "number": k,
            "state": "complete" if score else "pruned",
            "params": {"optim.lr": 10.0 ** -(k + 2)},
            "values": score and [score[name] for name in objectives],
            "identity": f"{k}" * 64,
        }
        for k, score in enumerate(scores)
    ]
    head = {"search": "search_demo", "title": "Which?", "profile": "smoke", "n_re": 3}
    best = {("si_snri",): [0], ("macs",): [1]}.get(objectives, [0, 1])
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


def test_a_cost_alone_is_minimised_in_figure_and_table(tmp_path):
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches/search_demo.smoke.json").write_text(json.dumps(found(("macs",))))
    data = read_search("search_demo", "smoke", tmp_path)
    (axes,) = search_figure(trial_frame(data), data).axes
    (best,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert list(best.get_ydata()) == [4.0, 1.0, 1.0]
    assert axes.get_ylabel() == "GMAC per second of audio"
    report_search("search_demo", "smoke", tmp_path, tmp_path / "reports")
    assert order_in(tmp_path / "reports") == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("objectives", "order"),
    [(("si_snri", "macs"), [0, 1, 2, 3]), (("macs", "si_snri"), [1, 0, 2, 3])],
)
def test_the_front_comes_first_then_the_best_by_the_first_objective(tmp_path, objectives, order):
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches/search_demo.smoke.json").write_text(json.dumps(found(objectives)))
    report_search("search_demo", "smoke", tmp_path, tmp_path / "reports")
    assert order_in(tmp_path / "reports") == order
    data = read_search("search_demo", "smoke", tmp_path)
    (axes,) = search_figure(trial_frame(data), data).axes
    assert axes.get_xlabel() == "GMAC per second of audio" and axes.get_ylabel().endswith("[dB]")


def order_in(reports):
    """The numbers of the trials, in the order of the table."""
    lines = (reports / "search_demo" / "trials.md").read_text().splitlines()
    return [int(line.split("|")[1]) for line in lines[6:]]


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
