"""Searches resume: trials are runs, equal settings share a run, killed trials are repeated."""

import json
import os
from dataclasses import replace

import optuna
import pytest

from tisdiss.harness.planner import plan
from tisdiss.harness.run import run
from tisdiss.harness.runner import Runner
from tisdiss.harness.search import Tried, best, search
from tisdiss.harness.search_store import JournalLock, _storage, _study, sign
from tisdiss.machine.alone import alone
from tisdiss.records.run_folder import RunFolder
from tisdiss.study.load import load_study
from tisdiss.study.search_file import load_search

SEARCH = """\
search: search_demo
title: Which rate?
base: sep1x2-re1x3-l1+3
space:
  loss.weights.re: {low: 0.1, high: 10, log: true}
  optim.lr: {low: 1e-4, high: 1e-2, log: true}
objectives: [si_snri]
n_re: 3
first: [{loss.weights.re: 1, optim.lr: 1e-3}]
trials: 3
"""
WIDTHS = """\
search: search_demo
title: How wide, how deep?
base: sep1x2-re1x3-l1+3
space:
  model.n_re: {low: 1, high: 3}
  width: {options: {one: {model.block.channels: 8}, two: {model.block.channels: 16}}}
objectives: [si_snri, macs]
trials: 4
"""


@pytest.fixture
def write(tmp_path):
    def write(text=SEARCH):
        path = tmp_path / "search_demo.yaml"
        path.write_text(text)
        return load_search(path)

    return write


@pytest.fixture
def go(make_runner, write):
    def go(text=SEARCH, runner=None, **options):
        runner = runner or make_runner()
        return search(write(text), "smoke", runner=runner, track=False, **options)

    return go


def test_the_papers_weights_come_first_and_the_value_is_the_scored_one(go):
    results = go()
    assert [trial.state for trial in results] == ["complete"] * 3
    assert results[0].params == {"loss.weights.re": 1, "optim.lr": 1e-3}
    assert {trial.values for trial in results} == {(3.0,)}  # SI-SNRi is N_re in pretended scores
    assert len({trial.identity for trial in results}) == 3


def test_a_trial_equal_to_a_run_of_a_study_returns_its_value(
    go, write_study, make_runner, corpora, tmp_path
):
    more = "profiles: {smoke: {evaluate: {split: val, n_re: [3]}}}\n"
    study = load_study(write_study(["{id: a, set: {optim.lr: 1.0e-3}}"], more=more))
    planned = plan([study], "smoke", runs_dir=tmp_path / "runs", corpora=corpora)
    run(planned, runner=make_runner(), track=False)
    runner = make_runner(train=None, evaluate=None)
    (result,) = go(runner=runner, trials=1)
    assert result.identity == planned.runs[0].identity and result.values == (3.0,)
    assert "done before" in runner.said[0]


def test_a_search_goes_on_where_it_was(go, tmp_path):
    assert len(go(trials=1)) == 1
    results = go()
    assert [trial.number for trial in results] == [0, 1, 2]
    assert go() == results
    document = json.loads((tmp_path / "runs/searches/search_demo.smoke.json").read_text())
    assert [trial["number"] for trial in document["trials"]] == [0, 1, 2]


def test_trials_are_rows_of_a_plan_and_of_their_own_kind(go, tmp_path):
    results = go()
    rows = json.loads((tmp_path / "runs/plans/search_demo.smoke.json").read_text())["rows"]
    assert [row["id"] for row in rows] == ["t0", "t1", "t2"]
    folder = RunFolder.of(tmp_path / "runs", results[1].identity)
    assert folder.config().kind == "trial"
    assert [row["runs"][0]["identity"] for row in rows] == [t.identity for t in results]


def reopened(spec, root):
    """The study of a search as another process sees it."""
    journal = root / "runs/searches/search_demo.journal"
    return _study(spec, "smoke", _storage(str(journal), print))


def test_the_trial_of_a_killed_process_is_tried_again(go, write, tmp_path):
    if (child := os.fork()) == 0:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = reopened(write(), tmp_path)
        study.enqueue_trial({"loss.weights.re": 2.0, "optim.lr": 2e-3})
        trial = study.ask()
        trial.suggest_float("loss.weights.re", 0.1, 10, log=True)
        trial.suggest_float("optim.lr", 1e-4, 1e-2, log=True)
        trial.set_user_attr("host", os.uname().nodename)
        trial.set_user_attr("pid", os.getpid())
        os._exit(0)
    os.waitpid(child, 0)
    results = go(trials=1)
    assert [trial.state for trial in results] == ["fail", "complete"]
    assert results[1].params == {"loss.weights.re": 2.0, "optim.lr": 2e-3}


def test_a_first_trial_that_was_killed_before_it_began_is_tried_again(go, write, tmp_path):
    """Its settings are those that it was given; its process number has another process by now."""
    study = reopened(write(), tmp_path)
    study.enqueue_trial({"loss.weights.re": 1, "optim.lr": 1e-3})
    trial = study.ask()
    sign(trial)
    trial.set_user_attr("born", 1.0)
    results = go(trials=1)
    assert [(trial.state, trial.params) for trial in results] == [
        ("fail", {}),
        ("complete", {"loss.weights.re": 1.0, "optim.lr": 1e-3}),
    ]


def test_a_trial_of_a_living_process_is_left_to_it(go, write, tmp_path):
    study = reopened(write(), tmp_path)
    sign(study.ask())
    assert [trial.state for trial in go(trials=1)] == ["complete"]
    assert [t.state.name for t in reopened(write(), tmp_path).trials] == ["RUNNING", "COMPLETE"]


def test_a_search_killed_while_it_wrote_its_journal_goes_on(go, tmp_path, monkeypatch):
    """It leaves Optuna's lock of former days, our own lock file, and half a line."""
    go(trials=1)
    searches = tmp_path / "runs/searches"
    monkeypatch.chdir(tmp_path)
    (searches / "search_demo.journal.lock").symlink_to("runs/searches/search_demo.journal")
    (searches / "search_demo.journal.lock1234.rename").symlink_to(
        "runs/searches/search_demo.journal"
    )
    for path in searches.glob("*.journal.lock*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    if (child := os.fork()) == 0:
        JournalLock(searches / "search_demo.journal", print).acquire()
        with (searches / "search_demo.journal").open("a") as journal:
            journal.write('{"op_code": 4, "wor')
        os._exit(0)
    os.waitpid(child, 0)
    (searches / "search_demo.smoke.json").unlink()
    assert [trial.state for trial in go(trials=2)] == ["complete"] * 2
    assert not list(searches.glob("search_demo.journal.lock*"))
    (searches / "search_demo.smoke.json").unlink()  # killed before it was written
    assert len(go(trials=2)) == 2
    assert len(json.loads((searches / "search_demo.smoke.json").read_text())["trials"]) == 2


def test_a_wait_for_a_lock_is_said_with_its_holder(tmp_path):
    said = []
    ready, done = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        with alone(tmp_path / "lock", "the journal"):
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)

    def say(text):
        said.append(text)
        os.write(done[1], b"1")

    with alone(tmp_path / "lock", "the journal", say, patience=0.1):
        pass
    os.waitpid(child, 0)
    (line,) = said
    assert line.startswith(f"waiting for the journal, held by process {child} on ")


def test_a_damaged_journal_is_told_with_its_line(go, tmp_path):
    go(trials=1)
    journal = tmp_path / "runs/searches/search_demo.journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:2], "\x00\x00\n", *lines[2:]]))
    with pytest.raises(ValueError, match=r"search_demo\.journal:3: not a JSON event") as told:
        go(trials=2)
    assert "restore it, or move it away" in str(told.value)
    journal.write_text("[]\n" + "".join(lines))
    with pytest.raises(ConnectionError, match=r"search storage .*search_demo\.journal: "):
        go(trials=2)


def test_a_database_that_cannot_be_used_is_one_line(go, tmp_path):
    import sqlite3

    old = tmp_path / "old.db"
    optuna.create_study(storage=f"sqlite:///{old}", study_name="x")
    with sqlite3.connect(old) as database:
        database.execute("update alembic_version set version_num='v2.6.0.a'")
    with pytest.raises(ConnectionError) as told:
        go(storage=f"sqlite:///{old}")
    assert "optuna storage upgrade" in str(told.value) and "Upgrade it so, or" in str(told.value)
    assert "\n" not in str(told.value)
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(ConnectionError, match="file is not a database"):
        go(storage=f"sqlite:///{tmp_path}/text.db")
    assert not list((tmp_path / "runs").glob("*/config.json"))


def test_a_trial_that_fails_has_its_reason_and_the_search_goes_on(go, make_runner, pretend):
    def train(config, *arguments, **options):
        if config.optim.lr == 1e-3:
            raise OSError("no space left")
        return pretend.train(config, *arguments, **options)

    results = go(runner=make_runner(train=train))
    assert [trial.state for trial in results] == ["fail", "complete", "complete"]
    assert results[0].note == "OSError: no space left"


CLASH = """\
search: search_demo
title: How many heads?
base: sep1x2-re1x3-l1+3
space:
  model.block.n_heads: {choices: [2, 3]}
objectives: [si_snri]
n_re: 3
first: [{model.block.n_heads: HEADS}, {model.block.n_heads: 3}]
trials: 2
"""


def test_settings_that_contradict_each_other_fail_their_trial_and_the_search_goes_on(go):
    for _ in range(2):  # and it can be gone on with
        results = go(CLASH.replace("HEADS", "2"))
        assert [trial.state for trial in results] == ["complete", "fail"]
        assert "n_heads" in results[1].note


@pytest.mark.parametrize(
    "where",
    [
        "set: {model.n_re: 4}\nspace: {optim.lr: {low: 1e-4, high: 1e-2}}",
        "space: {deep: {options: {no: {optim.lr: 1e-3}, yes: {model.n_re: 4}}}}",
    ],
)
def test_trials_are_scored_as_deep_as_they_were_trained(go, where):
    text = f"search: search_demo\ntitle: How deep?\nbase: sep1x2-re1x3-l1+3\n{where}\n"
    results = go(text + "objectives: [si_snri]\ntrials: 3\n")
    assert [trial.state for trial in results] == ["complete"] * 3


def test_a_mistake_in_the_first_trial_is_raised(go):
    with pytest.raises(ValueError, match="n_heads"):
        go(CLASH.replace("HEADS", "3").replace("[2, 3]", "[3]"))


def test_a_search_asks_for_its_device_first(go, make_runner):
    with pytest.raises(ValueError, match="cannot be used here"):
        go(runner=replace(make_runner(), device="cuda:99"))
    assert [trial.state for trial in go()] == ["complete"] * 3


def test_a_run_that_another_process_holds_takes_no_trial(go, monkeypatch):
    real, outcomes = Runner.run, iter(["held"])
    monkeypatch.setattr(Runner, "run", lambda *given: next(outcomes, None) or real(*given))
    results = go()
    assert [trial.state for trial in results] == ["fail"] + ["complete"] * 3


def test_a_trial_whose_scoring_fails_says_so(go, make_runner):
    def evaluate(*_, **options):
        raise OSError("no room")

    (trial,) = go(runner=make_runner(evaluate=evaluate), trials=1)
    assert (trial.state, trial.values, trial.note) == ("fail", None, "OSError: no room")


def test_hopeless_trials_are_pruned_and_stay_resumable(go, make_runner, pretend, tmp_path):
    seen = []

    def train(config, corpus, folder, *, on_log, **options):
        level = 10.0 - len(seen)
        seen.append(level)
        for epoch in (1, 2):
            metrics = {"val/si_snri": level + epoch, "val/loss": -level}
            on_log({"kind": "epoch", "step": epoch, "epoch": epoch, "metrics": metrics})
        return pretend.train(config, corpus, folder, on_log=on_log, **options)

    more = "profiles: {smoke: {set: {epochs: 3}}}\n"
    results = go(SEARCH.replace("trials: 3", "trials: 7") + more, make_runner(train=train))
    states = [trial.state for trial in results]
    assert states[:4] == ["complete"] * 4 and set(states[4:]) == {"pruned"}
    result = RunFolder.of(tmp_path / "runs", results[-1].identity).result()
    assert result.status == "running" and "pruned by search_demo" in result.reason


def test_two_objectives_give_a_front(go):
    results = go(WIDTHS)
    assert all(len(trial.values) == 2 for trial in results)
    front = best(results, ("si_snri", "macs"))
    assert front and all(trial.values[0] == trial.params["model.n_re"] for trial in results)


def test_the_front_is_what_nothing_beats():
    values = [(3.0, 9.0), (2.0, 5.0), (2.0, 6.0), (1.0, 5.0), (1.0, 1.0)]
    trials = [Tried(k, "complete", {}, v, "", "") for k, v in enumerate(values)]
    trials.append(Tried(9, "fail", {}, None, "", "why"))
    assert [t.number for t in best(trials, ("si_snri", "macs"))] == [0, 1, 4]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("optim.lr: {low", "optim.lrr: {low", "unknown setting.*'optim.lr'"),
        ("low: 1e-4, high: 1e-2", "low: 1e-2, high: 1e-4", "low=0.01 must be less than"),
        ("optim.lr: 1e-3}", "optim.lr: 1}", "outside its range"),
        (", optim.lr: 1e-3}", "}", "must give every setting"),
        ("search: search_demo", "search: other", "has the name of its file, search_demo"),
        ("objectives: [si_snri]", "objectives: [loss]", "must be 'si_snri' or 'macs'"),
    ],
)
def test_a_mistake_is_told_with_its_line(write, old, new, message):
    with pytest.raises(ValueError, match=rf"search_demo.yaml:\d+.*{message}"):
        write(SEARCH.replace(old, new, 1))


@pytest.mark.parametrize("n_re", ["", "n_re: 3\n"])
def test_models_without_early_split_are_searched_at_their_only_depth(go, n_re):
    text = SEARCH.replace("sep1x2-re1x3-l1+3", "sep2x2-l1").replace("n_re: 3\n", n_re)
    text = text.replace("  loss.weights.re: {low: 0.1, high: 10, log: true}\n", "")
    results = go(text.replace("loss.weights.re: 1, ", ""), trials=1)
    assert [(trial.state, trial.values) for trial in results] == [("complete", (0.0,))]


def test_a_search_has_the_seeds_of_runs(write):
    with pytest.raises(ValueError, match=r"search_demo.yaml:11:7: 202611281530: a seed is from 0"):
        write(SEARCH + "seed: 202611281530\n")


def test_the_last_seed_leaves_room_for_the_sampler(write, tmp_path):
    spec = write(SEARCH + "seed: 4294967295\n")
    kept = optuna.storages.InMemoryStorage()
    first = _study(spec, "smoke", kept)
    first.tell(first.ask(), 0.0)
    assert _study(spec, "smoke", kept).ask().number == 1


@pytest.mark.parametrize(
    ("span", "rule"),
    [
        ("model.n_re: {low: 1, high: 1000000000}", "1000000000: model.n_re: must be less than"),
        ("optim.lr: {low: 0.0, high: 1.0e-2}", "0.0: optim.lr: must be greater than 0"),
        ("model.n_re: {choices: [1, two]}", "'two': model.n_re: must be a valid integer"),
        ("loss.weights.re: {low: -1, high: 2}", "-1: loss.weights: must be greater than or"),
        ("data.seed: {low: 0, high: 99999999999}", "99999999999: data.seed: a seed is from 0"),
    ],
)
def test_a_span_holds_what_its_setting_allows(write, span, rule):
    with pytest.raises(ValueError, match=rf"search_demo.yaml:5:\d+: {rule}"):
        write(f"search: search_demo\ntitle: x\nbase: sep1x2-re1x3\nspace:\n  {span}\n"
              "objectives: [si_snri]\n")  # fmt: skip


def test_a_search_of_many_trials_is_a_study_of_many_rows(write):
    spec = write()
    assert len(spec.study(dict.fromkeys(range(2000), spec.first[0])).rows) == 2000
