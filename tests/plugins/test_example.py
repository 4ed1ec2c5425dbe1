"""The example package: installed, planned, run, reported, and quoted by its documentation."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch

from tisdiss import __version__, cli
from tisdiss.config import TrainConfig, named
from tisdiss.contract import WHOLE_MODELS
from tisdiss.harness.tracking.mlflow_flavor import requirements
from tisdiss.harness.tracking.view import view_of
from tisdiss.records.identity import train_identity
from tisdiss.records.revision import code_hash
from tisdiss.records.run_folder import RunFolder
from tisdiss.speech_separator import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "plugin"
PAGE = (ROOT / "docs" / "add-your-own-model.md").read_text()
STUDY = re.search(r"```yaml\n(study: hum.*?)```", PAGE, re.DOTALL)[1]


def test_the_page_quotes_the_package_and_all_of_it():
    quoted = dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)```$", PAGE, re.DOTALL | re.MULTILINE))
    files = {
        path.relative_to(EXAMPLE).as_posix(): path.read_text()
        for path in EXAMPLE.rglob("*")
        if path.suffix in (".py", ".toml")
    }
    assert quoted == files


def test_a_model_in_mlflow_names_the_package_that_it_needs(example):
    package = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["name"]
    (name,) = [name for name in WHOLE_MODELS if package in (WHOLE_MODELS.package(name) or "")]
    assert requirements(named(name)) == [f"tisdiss=={__version__}", f"{package}==1.0"]


@pytest.fixture(scope="module")
def home(example, tmp_path_factory):
    """A folder in which the study of the page is planned, run, reported and put on a page."""
    home = tmp_path_factory.mktemp("home")
    (home / "studies").mkdir()
    (home / "studies" / "hum.yaml").write_text(STUDY)
    said = {}

    def tisdiss(*words: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(home)
            patch.setattr(sys, "argv", ["tisdiss", *words])
            patch.setenv("COLUMNS", "200")
            with (home / "out").open("w") as out, pytest.raises(SystemExit) as ended:
                patch.setattr(sys, "stdout", out)
                cli.main()
        said[words[0]] = (home / "out").read_text()
        assert not ended.value.code or words[0] == "claims", said[words[0]]
        return said[words[0]]

    tisdiss("plan", "hum", "--profile", "smoke")
    tisdiss("run", "hum", "--profile", "smoke", "--no-track")
    tisdiss("report", "hum", "--profile", "smoke", "--no-notebook")
    tisdiss("claims", "hum", "--profile", "smoke")
    tisdiss("page", "hum", "--reports", "build/smoke")
    return home, said


def test_the_plan_shows_the_model_and_that_its_cost_is_counted(home):
    _, said = home
    lines = [line.split() for line in said["plan"].splitlines()]
    (plain,) = [line for line in lines if "hum/plain" in line]
    # 8 channels: encoder 8*32+8, three blocks of 8*8*3+8, masks 8*16+16, decoder 8*32+1
    assert 264 + 600 + 144 + 257 == 1265
    assert plain[1:5] == ["humming", "0", "1", "k"] and "counted" in plain
    assert "humming: parameters and multiply-adds are counted" in said["plan"]


def test_the_scores_have_the_measure_at_every_depth(home):
    folder, _ = home
    tables = [pd.read_parquet(p) for p in folder.glob("runs/*/evaluations/*/scores.parquet")]
    assert len(tables) == 2
    for table in tables:
        assert sorted(set(table["n_re"])) == [1, 2, 3] and len(table) == 4 * 2 * 3
        gain = table["snr"] - table["mixture_snr"]
        assert gain.to_numpy() == pytest.approx(table["snri"].to_numpy())
        assert table["snr"].notna().all()


def test_a_run_says_its_package_and_shows_its_score_at_the_trained_depth(home):
    folder, _ = home
    for path in folder.glob("runs/*/config.json"):
        written = json.loads(path.read_text())
        assert (written["n_re"], written["package"]) == (3, "tisdiss-humming 1.0")
        run = RunFolder.of(folder / "runs", written["identity"])
        points = {(p.key, p.step): p.value for p in view_of(run, []).metrics}
        assert points["test/snri", 0] == points["test/snri.re3", 0]


def test_the_report_has_claim_table_and_curve_of_the_measure(home):
    folder, said = home
    report = folder / "build" / "smoke" / "hum"
    tex, words = (report / "table.tex").read_text(), (report / "README.md").read_text()
    assert "SNRi {[}dB]" in tex and "humming & 3 &" in tex and "wide & 3 &" in tex
    assert '"wide" has a higher SNRi than "humming"' in said["claims"]
    assert "hums, no speech" in words and "that of humming" in words
    assert (report / "hum.pdf").read_bytes().startswith(b"%PDF")
    means = pd.concat(
        pd.read_parquet(p).assign(run=p.parts[-4]) for p in folder.glob("runs/*/*/*/scores.parquet")
    )
    table = pd.read_csv(report / "table.csv")
    shown = table[(table["metric"] == "snri") & (table["n_re"] == 3)]["mean"]
    by_run = means[means["n_re"] == 3].groupby("run")["snri"].mean()
    assert sorted(shown) == pytest.approx(sorted(by_run), abs=1e-4)


def test_the_page_has_the_row_the_claim_and_its_licence(home):
    folder, _ = home
    html = (folder / "build" / "smoke" / "report.html").read_text()
    assert "humming" in html and "Hums: free to pass on." in html and "higher SNRi" in html


def test_its_weights_separate_at_every_depth(home):
    folder, _ = home
    for path in sorted(folder.glob("runs/*/model.safetensors")):
        separator = load(path)
        channels = separator.model.config.settings.channels
        assert (
            channels
            == json.loads((path.parent / "config.json").read_text())["train"]["model"]["humming"][
                "channels"
            ]
        )
        wave = torch.randn(8000, generator=torch.Generator().manual_seed(1))
        depths = dict(separator.repetitions(wave, 8000))
        assert list(depths) == [1, 2, 3] and depths[3].shape == (2, 8000)
        assert torch.equal(depths[3], separator.separate(wave, 8000))
        assert not torch.equal(depths[1], depths[3])
        with pytest.raises(ValueError, match="n_re=4: humming runs to the depths 1, 2, 3"):
            separator.separate(wave, 8000, n_re=4)


def test_a_package_changes_no_run_of_other_models(example):
    config, model = TrainConfig(), named("humming")
    golden = "9354f2fe79db2c2f7e1621511b520a23fb301003d823f0bf99579805df20c92b"
    assert train_identity(config, "d" * 64) == golden
    assert not [name for name in vars(config.model) if "hum" in name]
    assert code_hash() == code_hash.__wrapped__()
    assert model.dial == (1, 2, 3) and model.settings.channels == 64


def test_planning_with_it_loads_no_torch(example, tmp_path):
    one = "".join(line for line in STUDY.splitlines(True) if "id: wide" not in line)
    (tmp_path / "hum.yaml").write_text(one.replace("claims:\n", ""))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tisdiss.harness.planner import plan\n"
        "from tisdiss.study.load import load_study\n"
        "made = plan([load_study(Path('hum.yaml'))], 'paper')\n"
        "print(made.runs[0].name, made.studies[0].rows[0].counted, 'torch' in sys.modules)\n"
    )
    path = os.pathsep.join([str(example), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["humming", "True", "False"], done.stderr
