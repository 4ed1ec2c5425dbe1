"""Study files: their meaning, and all mistakes at once, each with its place and a hint."""

import json
import subprocess
import sys

import pytest

from tisdiss.config import EvalConfig
from tisdiss.records.problems import DocumentError
from tisdiss.study.json_schema import study_schema
from tisdiss.study.load import find_studies, load_study
from tisdiss.study.profiles import get_profile, load_profiles
from tisdiss.study.resolve import resolve_evaluation, resolve_training, resolve_weights


def mistakes(path):
    with pytest.raises(DocumentError) as caught:
        load_study(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.lines]


def test_a_row_states_only_its_difference(write_study):
    study = load_study(write_study(["{id: a}", "{id: b, set: {model.n_re: 6, optim.lr: 1e-4}}"]))
    config = resolve_training(study, study.row("b"), study.at("smoke"), seed=3)
    assert (config.model.n_re, config.optim.lr, config.seed) == (6, 1e-4, 3)
    assert config.model.block.channels == 8
    assert resolve_evaluation(study.at("smoke")) == EvalConfig(n_re=(1, 2, 3, 4))


def test_a_paper_name_replaces_the_structure_and_keeps_the_profiles_size(write_study):
    study = load_study(write_study(["{id: a, model: sep2x1-re2x2-l1+2}"]))
    model = resolve_training(study, study.row("a"), study.at("smoke"), seed=0).model
    assert (model.m_sep, model.n_sep, model.m_re, model.n_re) == (2, 1, 2, 2)
    assert model.block.channels == 8


def test_a_fine_tune_has_its_parents_model_and_the_profiles_finetune_settings(write_study):
    rows = ["{id: a, set: {model.splitter: conv2d}}", "{id: b, init_from: a, model: sep1x2-re1x6}"]
    more = "profiles: {smoke: {finetune: {epochs: 7}}}\n"
    study = load_study(write_study(rows, more=more))
    view = study.at("smoke")
    parent = resolve_training(study, study.row("a"), view, seed=0)
    config = resolve_training(study, study.row("b"), view, seed=0, parent=parent.model)
    assert (config.model.splitter, config.model.n_re) == ("conv2d", 6)
    assert (parent.epochs, config.epochs) == (2, 7)


def test_weights_are_a_file_or_a_model_to_train_as_the_profile_says():
    smoke, mini = get_profile("smoke"), get_profile("mini")
    assert mini.meaning("base").file == "models/base.safetensors"
    assert resolve_weights(mini, "base", seed=0) is None
    trained = resolve_weights(smoke, "base", seed=4)
    assert (trained.model.name, trained.seed) == ("sep1x2-re1x3-l1+3", 4)


def test_seeds_of_the_profile_win_over_the_study_and_its_own_adjustment_over_both(write_study):
    more = "seeds: [5, 6]\nprofiles: {mini: {seeds: 1..3}}\n"
    study = load_study(write_study(["{id: a}"], more=more))
    assert [study.at(name).seeds for name in ("smoke", "mini", "lab")] == [(0,), (1, 2, 3), (5, 6)]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            "{id: a, set: {model.n_ree: 3}}",
            "6:19: 'model.n_ree': unknown setting; nearest valid name: 'model.n_re'",
        ),
        (
            "{id: a, set: {losses: [last]}}",
            "6:19: 'losses': unknown setting; nearest valid name: 'model.losses'",
        ),
        (
            "{id: a, set: {model.splitter: swigl}}",
            "6:35: 'swigl': model.splitter: must be 'swiglu' or 'conv2d'; "
            "nearest valid name: 'swiglu'",
        ),
        ("{id: a, set: {optim.lr: yes}}", "6:29: 'yes': optim.lr: must be a valid number"),
        ("{id: a, set: {batch_size: true}}", "6:31: True: batch_size: must be a valid integer"),
        ("{id: a, set: {model.n_re: '3'}}", "6:31: '3': model.n_re: must be a valid integer"),
        (
            "{id: a, set: {epochs: 0}}",
            "6:27: 0: epochs: must be greater than or equal to 1",
        ),
        (
            "{id: a, set: {model.block: {channels: 3}}}",
            "6:19: 'model.block': this is a group of settings; set its parts: "
            "model.block.channels, model.block.attention_dim, model.block.n_heads, "
            "model.block.norm, ...",
        ),
        (
            "{id: a, set: {seed: 3}}",
            "6:19: 'seed': cannot be set here; use `seeds:` of the study",
        ),
        ("{id: a, lable: x}", "6:13: 'lable': unknown key; nearest valid name: 'label'"),
        ("{id: a/b}", "6:10: 'a/b': must match pattern '^[a-z0-9_+-]{1,64}$'"),
        ("{label: x}", "6:5: 'id': this key is missing"),
        (
            "{id: a, init_from: weights:bse}",
            "6:24: 'weights:bse': no such row of this study, and no such weights; "
            "nearest valid name: 'weights:base'",
        ),
        (
            "{id: a, weights: basis}",
            "6:22: 'basis': no profile defines these weights; nearest valid name: 'base'",
        ),
        (
            "{id: a, weights: base, set: {epochs: 1}}",
            "6:28: 'set': has no effect in a row with `weights:`; remove one of the two",
        ),
        (
            "{id: a, use: dema/a}",
            "6:18: 'dema/a': no study 'dema' beside this one or in the package; nearest valid "
            "name: 'demo'",
        ),
        (
            "{id: a, use: demo/b}",
            "6:18: 'demo/b': a study cannot use its own rows (demo uses demo)",
        ),
        ("{id: a, use: re6}", "6:18: 're6': must match pattern"),
        (
            "{id: a, corpus: large-cleen}",
            "6:21: 'large-cleen': no profile defines this corpus; "
            "nearest valid name: 'large-clean'",
        ),
        (
            "{id: a, at: [3, 5]}",
            "6:5: 'a': at=[3, 5]: N_re = 5 is not among `evaluate:` n_re",
        ),
        (
            "{id: a, model: sep1x6-l1x6, at: [3]}",
            "6:5: 'a': at=[3]: sep1x6-l1x6 has no reconstructor to repeat; drop it",
        ),
        (
            "{id: a, init_from: a}",
            "6:24: 'a': no such row of this study, and no such weights; valid names: weights:base",
        ),
        (
            "{id: a, set: {data.sample_rate: 16000}}",
            "6:5: 'a': data.sample_rate=16000: the model works at 8000 Hz; set "
            "data.sample_rate and model.codec.sample_rate to the same",
        ),
        (
            "{id: a, set: {model.block.n_heads: 3, model.block.channels: 24}}",
            "6:65: 24: model.block.channels: attention_dim=8 must be a multiple of twice "
            "n_heads=3: rotary positions rotate channels in pairs (at profile smoke)",
        ),
    ],
)
def test_a_mistake_in_a_row(write_study, row, line):
    assert any(found.startswith(line) for found in mistakes(write_study([row])))


@pytest.mark.parametrize(
    ("used", "row", "rule"),
    [
        ("{id: b}", "{id: a, use: one/c}", "study 'one' has no row 'c'; valid names: b"),
        ("{id: c, published: {si_snri: 1}}", "{id: a, use: one/c}", "'c' is a published row"),
        ("{id: b, lable: x}", "{id: a, use: one/b}", "its study has a mistake: "),
        ("{id: b}", "{id: a, use: one/b, set: {epochs: 1}}", "has no effect in a row with `use:`"),
        ("{id: b, use: demo/a}", "{id: a, use: one/b}", "its study has a mistake: "),
    ],
)
def test_a_mistake_in_a_used_row(write_study, used, row, rule):
    write_study([used], name="one")
    assert any(rule in line for line in mistakes(write_study([row])))


def test_studies_that_use_each_other_are_refused_with_the_way(write_study):
    write_study(["{id: b, use: demo/a}"], name="one")
    (line,) = mistakes(write_study(["{id: a, use: one/b}"]))
    assert "a study cannot use its own rows (demo uses one uses demo)" in line


def test_paper_name_that_does_not_fit_is_refused(write_study):
    (line,) = mistakes(write_study(["{id: a, model: sep1x2-re1x3-l1+9}"]))
    assert line.startswith("6:20: 'sep1x2-re1x3-l1+9': ") and "does not fit" in line


def test_doubled_claim_id_is_refused(write_study):
    claim = "{id: c, source: Sec. 3, expr: \"row('a') > 1\"}"
    (line,) = mistakes(write_study(["{id: a}"], more=f"claims: [{claim}, {claim}]\n"))
    assert line.endswith("'c': claim 1 has this id already; ids are unique in a study")


def test_doubled_row_id_is_refused(write_study):
    assert mistakes(write_study(["{id: a}", "{id: a}"])) == [
        "7:10: 'a': row 1 has this id already; ids are unique in a study"
    ]


def test_rows_that_start_from_each_other_are_refused(write_study):
    found = mistakes(write_study(["{id: a, init_from: b}", "{id: b, init_from: a}"]))
    assert found[0] == "6:24: 'b': the rows start from each other; one must come first"


def test_a_fine_tune_that_needs_other_parameters_is_refused(write_study):
    row = "{id: a, init_from: weights:base, set: {model.codec.n_bands: 24}}"
    assert any(
        "they differ in model.codec.n_bands (32 there, 24 here); only passes and losses" in line
        for line in mistakes(write_study([row]))
    )


def test_a_fine_tune_that_needs_the_residual_module_is_refused(write_study):
    rows = ["{id: a, model: sep1x1-re1x3}", "{id: b, init_from: a, model: sep1x2-re1x3}"]
    line, *_ = mistakes(write_study(rows))
    assert "sep1x2-re1x3-l1+3 cannot start from sep1x1-re1x3-l1+3: one pass of" in line


def test_study_is_called_like_its_file(write_study):
    path = write_study(["{id: a}"], name="demo")
    other = path.rename(path.with_name("other.yaml"))
    assert mistakes(other) == [
        "1:8: 'demo': a study has the name of its file; write 'other' or rename the file"
    ]


def test_mistakes_in_other_parts(write_study):
    more = (
        "claims: [{id: c, expr: \"row('bb').si_snri > 1\", source: here}]\n"
        "profiles: {smok: {}, mini: {set: {epoch: 1}}}\n"
        "seed: [1]\n"
    )
    assert mistakes(write_study(["{id: b}"], more=more)) == [
        "9:24: 'bb': no such row; nearest valid name: 'b'",
        "10:12: 'smok': unknown profile; nearest valid name: 'smoke'",
        "10:35: 'epoch': unknown setting; nearest valid name: 'epochs'",
        "11:1: 'seed': unknown key; nearest valid name: 'seeds'",
    ]


CLAIM = 'claims: [{{id: c, source: Sec. 3, expr: "{}"}}]\n'


@pytest.mark.parametrize(
    ("expr", "told"),
    [
        ("row('a').si_snri(n_re=9) > row('b')", "row 'a' is not scored at N_re = 9; add it to"),
        ("gain(row('b'), n_re=2..7) > 0", "row 'b' is not scored at N_re = 7; add it to"),
        ("row('a') > row('deep')", "row 'deep' is not scored at its trained depth; add it to"),
        ("row('flat').si_snri(n_re=2) > 1", "row 'flat' is not scored at N_re = 2; add it to"),
        ("row('a') > row('theirs').si_snr", "row 'theirs' quotes no si_snr; it has si_snri"),
        (
            "row('a') > row('theirs').si_snri(n_re=4)",
            "row 'theirs' quotes no si_snri.re4; it has si_snri",
        ),
    ],
)
def test_a_claim_about_what_is_never_scored_is_refused(write_study, expr, told):
    rows = [
        "{id: a}",
        "{id: b}",
        "{id: deep, set: {model.n_re: 6}}",
        "{id: flat, model: sep1x2-l1}",
        "{id: theirs, published: {si_snri: 20.1}, source: theirs}",
    ]
    (line,) = mistakes(write_study(rows, more=CLAIM.format(expr)))
    assert told in line


def test_a_study_asks_for_a_depth_at_least(write_study):
    path = write_study(["{id: a}", "{id: flat, model: sep1x2-l1}"])
    path.write_text(path.read_text().replace("n_re: 1..4", "n_re: []"))
    assert mistakes(path) == ["8:18: []: n_re: must have at least 1 item, not 0"]
    more = "profiles: {cpu: {evaluate: {n_re: []}}}\n"
    assert "at least 1 item" in mistakes(write_study(["{id: a}"], more=more))[0]


def test_a_claim_may_be_about_depths_that_one_profile_scores(write_study):
    claim = CLAIM.format("row('a').si_snri(n_re=9) > row('a').si_snri(n_re=4)")
    more = "profiles: {cpu: {evaluate: {n_re: 1..10}}}\n"
    assert len(load_study(write_study(["{id: a}"], more=more + claim)).claims) == 1


@pytest.mark.parametrize("column", ["si_sdr", "si_snri.re0", "params", "params_m.re2", "x"])
def test_numbers_of_others_have_a_known_column(write_study, column):
    (line,) = mistakes(write_study([f"{{id: a, paper: {{{column}: 20.1}}}}"]))
    assert f"'{column}': reported numbers are params_m, si_snri" in line


def test_all_mistakes_come_at_once_in_the_order_of_the_file(write_study):
    rows = [
        "{id: a, set: {model.n_ree: 3, epochs: 0}}",
        "{id: b, init_frm: a}",
        "{id: c, set: {model.block.attention_dim: 30}}",
    ]
    found = mistakes(write_study(rows, more="show: {}\ntable: x\n"))
    assert [line.split(": ")[0] for line in found] == [
        *["6:19", "6:43", "7:13"],
        *["8:46", "8:46"],  # two profiles, two numbers of heads
        *["11:1", "12:1"],
    ]


def test_mistakes_of_several_studies_come_together(tmp_path):
    (tmp_path / "table1.yaml").write_text("study: table1\n")
    with pytest.raises(DocumentError) as caught:
        find_studies(["table1", "tabel2"], tmp_path)
    assert "title" in str(caught.value)
    assert caught.value.lines[-1] == "no study 'tabel2'; nearest valid name: 'table2'"


def test_unknown_profile_names_the_nearest():
    with pytest.raises(ValueError, match="no profile 'mni'; nearest valid name: 'mini'"):
        get_profile("mni")


@pytest.mark.parametrize("name", ["fig2a", "fig2e"])
def test_shipped_studies_load_at_every_profile(repository, name):
    study = load_study(repository / "studies" / f"{name}.yaml")
    assert study.claim and {study.at(profile).about for profile in load_profiles()}


def test_fig2e_differs_between_control_and_deeper_only_in_depth(repository):
    study = load_study(repository / "studies/fig2e.yaml")
    view = study.at("mini")
    base = resolve_weights(study.at("smoke"), "base", seed=0).model
    control, deeper = (
        resolve_training(study, study.row(row), view, seed=0, parent=base)
        for row in ("re1x3", "re1x6")
    )
    assert deeper.model.n_re == 6 and control.optim == deeper.optim
    same = deeper.model.model_copy(update={"n_re": 3})
    assert deeper.model_copy(update={"model": same}) == control


def test_committed_schema_is_current(repository):
    committed = json.loads((repository / "schemas/study.schema.json").read_text())
    assert committed == study_schema(), "write it again: tisdiss schema > schemas/study.schema.json"


def test_schema_accepts_a_shipped_study_and_refuses_a_typo(repository):
    jsonschema = pytest.importorskip("jsonschema")
    text = (repository / "schemas/study.schema.json").read_text()
    validator = jsonschema.Draft202012Validator(json.loads(text))
    study = {
        "study": "x",
        "title": "t",
        "claim": "c",
        "base": "sep1x2-re1x3-l1+3",
        "rows": [{"id": "a", "set": {"model.n_re": 3}}],
        "evaluate": {"n_re": "1..10"},
        "show": {"figure": "depth_curve"},
    }
    assert validator.is_valid(study)
    study["rows"][0]["set"] = {"model.n_ree": 3}
    assert not validator.is_valid(study)


def test_planning_needs_no_heavy_import():
    heavy = ["torch", "mlflow", "pandas", "numpy", "matplotlib"]
    code = (
        "import sys, tisdiss.study.words, tisdiss.harness.planner, tisdiss.records.identity;"
        "import tisdiss.harness.run, tisdiss.harness.launch, tisdiss.harness.tracking.sync;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("row", "more", "line"),
    [
        ("{id: a}", "seeds: [0, 20261128153000]\n", "9:12: 20261128153000: a seed is from 0 to 4"),
        ("{id: a}", "seeds: [4294967296]\n", "9:9: 4294967296: a seed is from 0 to 4294967295"),
        ("{id: a}", "profiles: {smoke: {seeds: [4294967296]}}\n", "9:28: 4294967296: a seed is"),
        ("{id: a, set: {data.seed: 4294967296}}", "", "6:30: 4294967296: data.seed: a seed is"),
        ("{id: a, set: {data.sample_rate: 2}}", "", "6:37: 2: data.sample_rate: must be greater"),
        (
            "{id: a, set: {data.rooms: 99999999999999999999}}",
            "",
            "6:31: '99999999999999999999': a whole number has at most 18 digits",
        ),
        (
            "{id: a, set: {model.block.channels: 16384, model.block.ffn_hidden: [16384]}}",
            "",
            "6:5: 'a': sep1x2-re1x3-l1+3 would have 5.5e+10 parameters; at most 1e+09 ",
        ),
    ],
)
def test_a_number_out_of_its_range_is_told_with_its_place(write_study, row, more, line):
    assert any(found.startswith(line) for found in mistakes(write_study([row], more=more)))


def test_rows_that_start_from_each_other_come_to_an_end(write_study):
    rows = ["{id: r0}", *(f"{{id: r{k}, init_from: r{k - 1}}}" for k in range(1, 200))]
    found = mistakes(write_study(rows))
    assert found[0] == "27:26: 'r20': more than 20 rows start from each other"
    assert found[-1].endswith("79 more mistakes") and len(found) == 101
    assert len(load_study(write_study(rows[:21])).rows) == 21
