"""`tisdiss import`, `export` and `evaluate`: given weights, scored as trained ones are."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from tisdiss.analysis.recipe import recipe
from tisdiss.analysis.results import results_of
from tisdiss.analysis.tables import depth_table, to_markdown
from tisdiss.checkpoint import save_model
from tisdiss.model import TISDiSS
from tisdiss.records.plan_record import read_study
from tisdiss.records.run_folder import run_folders
from tisdiss.records.run_record import Origin
from tisdiss.records.scores import mean_by_depth
from tisdiss.released import build, export
from tisdiss.study.shipped_weights import read_shipped, same_tensors

Run = Callable[..., tuple[int, str, str]]
SETTINGS = {
    "separator_conf": {
        "emb_dim": 8,
        "norm_type": "rmsgroupnorm",
        "num_groups": 4,
        "n_heads": 2,
        "attention_dim": 8,
        "ffn_type": "swiglu_conv1d",
        "ffn_hidden_dim": 4,
        "encoder_decoder": False,
        "spliter_loss": True,
    }
}
FEW = ("--profile", "smoke", "--mixtures", 2, "--n-re", "1,3", "--no-track")


@pytest.fixture
def here(tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in an empty folder with the authors' two files."""
    torch.manual_seed(0)
    weights = {f"module.{name}": tensor for name, tensor in export(build(SETTINGS)).items()}
    torch.save(weights, tmp_path / "authors.pth")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.chdir(tmp_path)
    return tisdiss


def test_the_authors_weights_become_a_row_of_a_table(here: Run) -> None:
    code, out, errors = here("import", "authors.pth", "--config", "config.yaml")
    assert (code, errors) == (0, "")
    assert "note: 'module.' was stripped from their names" in out
    assert "authors.safetensors: sep1x2-re1x3-l1+3, " in out
    code, out, errors = here(
        "evaluate", "authors.safetensors", "synthetic", "--n-sep", "1..2", *FEW
    )
    assert (code, errors) == (0, "")
    assert "1 done" in out and "tisdiss report authors-on-synthetic --profile smoke" in out
    (run,) = run_folders(Path("runs"))
    assert len(list(run.glob("evaluations/*/scores.parquet"))) == 2
    again = here("evaluate", "authors.pth", "synthetic", "--n-sep", "1..2", *FEW, "--json")
    assert again[0] == 0 and "done before, nothing to do" in again[2]
    results = results_of("authors-on-synthetic", "smoke", Path("runs"))
    printed = json.loads(again[1])["scores"]
    assert [line["mean"] for line in printed[:4]] == results.curve["mean"].tolist()
    assert {(line["metric"], line["mixtures"]) for line in printed} == {("si_snri", 2), ("sdri", 2)}
    assert all(f"{line['mean']:.2f}" in out for line in printed)
    table = to_markdown(depth_table(results.curve, results.plan, metric="si_snri"))
    means = [mean_by_depth(path)[0] for path in run.glob("evaluations/*/scores.parquet")]
    scores = [mean[n_re]["depth/si_snri"] for mean in means for n_re in (1, 3)]
    assert all(f"{score:.2f}" in table for score in scores)
    facts = {fact.name: fact.text for fact in recipe(results.frames)}
    assert facts["training"] == "imported weights, not trained here" and "batch" not in facts


def test_checkpoints_with_the_same_file_name_are_different_weights(here: Run) -> None:
    name = "valid.loss.ave_5best"
    for seed in (0, 1):
        torch.manual_seed(seed)
        Path(f"seed{seed}").mkdir()
        torch.save(export(build(SETTINGS)), f"seed{seed}/{name}.pth")
        shutil.copy("config.yaml", f"seed{seed}")
        code, _, errors = here("evaluate", f"seed{seed}/{name}.pth", "synthetic", *FEW)
        assert (code, errors) == (0, "")
    files = list(Path("cache/imported").rglob("*.safetensors"))
    assert len(files) == 2
    for path in files:
        identity = read_shipped(path)[0]
        assert path == Path("cache/imported") / identity[:10] / f"{name}.safetensors"
        assert same_tensors(path, Path("runs") / identity[:10] / "model.safetensors")


def test_a_file_is_from_this_folder_and_its_run_in_the_projects(here: Run, tmp_path: Path) -> None:
    here("import", "authors.pth")
    home, words = tmp_path / "home", ("evaluate", "authors.safetensors", "synthetic", *FEW)
    command = [sys.executable, "-m", "tisdiss", *map(str, words)]
    env = os.environ | {"TISDISS_HOME": str(home)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = run_folders(home / "runs")
    assert same_tensors(run / "model.safetensors", Path("authors.safetensors"))
    assert [path.name for path in home.iterdir()] == ["runs"]
    assert not Path("runs").exists() and not Path("cache").exists()


@pytest.mark.slow
def test_a_report_of_given_weights_is_written_and_traced(here: Run) -> None:
    assert here("evaluate", "authors.pth", "synthetic", *FEW)[0] == 0
    report = ("report", "authors-on-synthetic", "--profile", "smoke", "--no-notebook")
    assert here(*report, "--out", "reports")[0] == 0
    readme = Path("reports/authors-on-synthetic/README.md").read_text()
    assert (
        "| training | imported weights, not trained here |" in readme and "| batch |" not in readme
    )
    code, out, _ = here("why", "authors-on-synthetic:model:si_snri.re3", "--reports", "reports")
    assert code == 0 and "imported, None steps" not in out


def test_imported_weights_are_a_row_of_a_study_beside_trained_ones(
    here: Run, write_study, tmp_path: Path
) -> None:
    here("import", "authors.pth")
    study = write_study(
        ["{id: theirs, label: released, weights: authors.safetensors}"], name="both"
    )
    code, out, errors = here("run", study, "--profile", "smoke", "--no-track")
    assert (code, errors) == (0, "") and "1 done" in out
    (run,) = run_folders(tmp_path / "runs")
    assert "imported" in (run / "result.json").read_text()


def test_weights_take_the_place_of_a_row_beside_quoted_numbers(here: Run) -> None:
    code, _, notes = here("evaluate", "authors.pth", "synthetic", "--as", "table1/re1x6", *FEW)
    assert code == 0 and notes.startswith("note: 'module.' was stripped")
    plan = read_study(Path("runs/plans/authors-on-synthetic.smoke.json"))
    (row,) = plan.rows
    assert (row.id, row.label, row.at) == ("re1x6", "TISDiSS-sep1x2-re1x6", [3])
    assert row.paper is not None and row.paper["si_snri.re8"] == 25.2
    assert [quoted.id for quoted in plan.published][:2] == ["sepreformer-b", "sepreformer-l+dm"]
    ids = ["above-large-dm", "above-large-dm-sdri", "depth-pays-6"]
    assert [claim.id for claim in plan.claims] == ids
    code, _, errors = here("evaluate", "authors.pth", "synthetic", "--as", "table1/tfl-l", *FEW)
    assert code == 2 and "table1/tfl-l: this row only quotes numbers" in errors
    code, _, errors = here("evaluate", "authors.pth", "synthetic", "--as", "table1/re1x8", *FEW)
    assert code == 2 and "study 'table1' has no row 're1x8'" in errors


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/elsewhere/x.safetensors", "a study names files of the project"),
        ("../x.safetensors", "a study names files of the project"),
        ("none.safetensors", r"none.safetensors: no such weights file"),
        ("bse", "no profile defines these weights; nearest valid name: 'base'"),
    ],
)
def test_weights_of_a_row_are_in_the_project(
    here: Run, write_study, path: str, message: str
) -> None:
    code, _, errors = here("plan", write_study([f"{{id: a, weights: {path}}}"]))
    assert code == 2 and message in errors


def test_an_export_is_what_an_import_takes(here: Run) -> None:
    here("import", "authors.pth")
    code, out, _ = here("export", "authors.safetensors", "-o", "out/theirs.pth")
    assert (code, out.split()) == (0, ["out/theirs.pth", "out/config.yaml"])
    told = here("export", "authors.safetensors", "-o", "out/theirs.pth")
    assert told[0] == 2 and "out/theirs.pth exists; choose another file" in told[2]
    held = torch.load("out/theirs.pth", weights_only=True)
    theirs = torch.load("authors.pth", weights_only=True)
    assert all(torch.equal(held[name], theirs[f"module.{name}"]) for name in held)


def test_graphs_are_exported_into_an_empty_folder(here: Run) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    here("import", "authors.pth")
    code, out, _ = here("export", "authors.safetensors", "--onnx", "graphs")
    names = ["decode.onnx", "encode.onnx", "repeat.onnx", "runner.py", "model.json"]
    assert (code, out.split()) == (0, [f"graphs/{name}" for name in names])
    code, _, errors = here("export", "authors.safetensors", "--onnx", "graphs")
    assert code == 2 and "graphs is not empty; name another folder" in errors
    assert here("export", "authors.safetensors", "--onnx", "graphs", "--force")[0] == 0


def test_a_missing_extra_is_named_with_the_way_to_install_it(
    here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tisdiss.machine.extras.is_installed", lambda module: False)
    code, _, errors = here("export", "base", "--onnx", "graphs")
    assert code == 2 and errors == "error: this needs onnx: pip install 'tisdiss[export]'\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "base"], "give either a checkpoint (-o FILE.pth) or a folder (--onnx FOLDER)"),
        (["import", "none.pth"], "none.pth: no such checkpoint"),
        (["import", "authors.pth", "--config", "no.yaml"], "no.yaml: no such file"),
        (["import", "authors.pth", "-o", "authors.pth"], "authors.pth is an input"),
        (["import", "authors.pth", "-o", "x.pth"], "a model file ends in .safetensors"),
        (["import", "config.yaml"], "no suffix of a released checkpoint"),
        (["evaluate", "base", "synthtic"], "no corpus 'synthtic'; nearest valid name: 'synthetic'"),
        (["evaluate", "base", "synthetic", "--n-re", "0..3"], "'0..3': depths begin at 1"),
        (["evaluate", "base", "synthetic", "--n-re", "a"], "'a': give depths such as 3, 1..10"),
        (["evaluate", "base", "wsj0-2mix", "--n-re", "1"], "set WSJ0_2MIX="),
        (["evaluate", "base", "synthetic", "--quality", "pesk"], "no score 'pesk'; nearest"),
        (["evaluate", "base", "synthetic", "--name", "A b"], "A b"),
        (["evaluate", "base", "synthetic", "--profile", "paper"], "give another profile"),
        (["evaluate", "base", "libri2mix", "--as", "table1/re1x6"], "are on wsj0-2mix, not libri"),
        (["evaluate", "base", "synthetic", "--as", "fig2a/l1+3", "--n-sep", "1"], "one N_sep"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_written(
    here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list, message: str
) -> None:
    for name in ("WSJ0_2MIX", "SPEECH"):
        monkeypatch.delenv(name, raising=False)
    code, _, errors = here(*words)
    assert code == 2 and message in errors and "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authors.pth", "config.yaml"]


def test_weights_of_another_training_of_the_same_run_are_not_mixed_up(
    here: Run, tiny, tmp_path: Path
) -> None:
    origin = Origin(identity="0123456789" + "a" * 54)
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2"))
        save_model(tmp_path / f"m{seed}.safetensors", model, origin)
    assert here("evaluate", "m0.safetensors", "synthetic", *FEW)[0] == 0
    shutil.copy("m0.safetensors", "copy.safetensors")
    assert here("evaluate", "copy.safetensors", "synthetic", *FEW)[0] == 0
    code, _, errors = here("evaluate", "m1.safetensors", "synthetic", *FEW)
    assert code == 2 and "has other weights of the same run 0123456789" in errors


def test_an_interrupted_evaluation_continues(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tisdiss import evaluate

    score, scored = evaluate.score, []

    def interrupted(model, example, config):
        scored.append(example.id)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(model, example, config)

    monkeypatch.setattr(evaluate, "score", interrupted)
    assert here("evaluate", "authors.pth", "synthetic", *FEW)[0] == 130
    assert here("evaluate", "authors.pth", "synthetic", *FEW)[0] == 0
    assert len(scored) == 3 and scored[1] == scored[2]
