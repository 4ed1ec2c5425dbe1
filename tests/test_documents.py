"""Everything that the documents name exists: commands, targets, files, a changelog."""

import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from typer.main import get_command

from tisdiss import cli
from tisdiss.data import synthetic
from tisdiss.harness.corpora import Corpora
from tisdiss.harness.planner import plan
from tisdiss.metrics import best_permutation, reorder, si_snr
from tisdiss.study.load import find_studies
from tisdiss.wave import resample

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STUDIES = [
    path
    for path in sorted((ROOT / "studies").glob("*.yaml"))
    if not path.stem.startswith("search_")
]


def makefile_targets() -> set[str]:
    """Targets by name, with variables such as $(FIGURES) replaced by their words."""
    variables = dict(re.findall(r"^(\w+)\s*[:?]?=[ \t]*(.*)$", MAKEFILE, re.MULTILINE))
    heads = re.findall(r"^([^\s#:=.][^:=#\n]*):(?!=)", MAKEFILE, re.MULTILINE)
    replaced = (re.sub(r"\$\((\w+)\)", lambda m: variables.get(m[1], ""), head) for head in heads)
    return {word for head in replaced for word in head.split()}


def code_of(text: str) -> str:
    """Everything in code blocks and between backticks."""
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    return "\n".join(
        [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))]
    )


def test_make_targets_in_the_readme_exist() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z0-9_-]*)", code_of(README)))
    assert {"demo", "test"} <= named
    assert named <= makefile_targets()


def test_commands_in_the_readme_exist() -> None:
    commands = get_command(cli.app).commands
    named = re.findall(r"\btisdiss ((?:[a-z][a-z-]*[ \n])+)", code_of(README) + "\n")
    assert {"separate", "run", "report"} <= {words.split()[0] for words in named}
    for words in named:
        first, *rest = words.split()
        assert first in commands, f"tisdiss {first}"
        if hasattr(commands[first], "commands") and rest:
            assert rest[0] in commands[first].commands, f"tisdiss {first} {rest[0]}"


def test_options_in_the_readme_exist() -> None:
    commands = get_command(cli.app).commands
    for line in code_of(README).splitlines():
        match = re.match(r"(?:\.venv/bin/)?tisdiss (\w+)([^#]*)", line.strip())
        if match and not hasattr(commands[match[1]], "commands"):
            known = {option for p in commands[match[1]].params for option in p.opts}
            assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", match[2])) <= known, line


def recipe(*words: str) -> str:
    """What `make` would run."""
    asked = ["make", "--no-print-directory", "--dry-run", *words]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_changes_kept_evidence_only_by_name() -> None:
    targets = ("fig2e", "report", "bench", "check-tex", "model", "paper", "demo")
    assert not re.findall(r"--(?:out|reports)\b.*", recipe(*targets))
    named = recipe(*targets, "REPORTS=my reports")
    writers = re.findall(
        r"^(?!echo).*(?: report |compose|page|bench\.py|check-tex).*$", named, re.M
    )
    assert len(writers) > 6
    assert not [line for line in writers if "my reports" not in line]


def test_the_demo_tells_its_time_first_and_ends_with_verdicts_figure_and_page() -> None:
    lines = [line for line in recipe("demo").splitlines() if "make" not in line]
    asked = [re.search(r"tisdiss (\w+) fig2e", line) for line in lines]
    assert [found[1] for found in asked if found] == [
        *("plan", "run", "time", "report", "page", "claims")
    ]
    assert "build/reports/fig2e/fig2e.png" in lines[-2]
    assert lines[-1].endswith('build/reports/report.html"')


def test_every_make_target_is_explained() -> None:
    helped = set()
    for line in MAKEFILE.splitlines():
        if "##" in line:
            helped |= {word for word in line.split(":")[0].split() if not word.startswith("$")}
    phony = re.search(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    wanted = {word for word in phony[1].split() if not word.startswith("$")}
    assert wanted <= makefile_targets(), "declared but absent"
    assert wanted <= helped, "without an explanation"


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_study_has_a_claim_and_says_how_to_read_it(study: Path) -> None:
    text = study.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert content["study"] == study.stem
    assert len(content["claim"]) > 20 and len(content["title"]) > 10
    assert len(content["how_to_read"]) > 40
    assert "$schema=../schemas/study.schema.json" in text.splitlines()[0]


def test_studies_are_named_in_the_makefile_or_by_a_rule() -> None:
    targets = makefile_targets()
    assert {"fig2a", "fig2e"} <= {path.stem for path in STUDIES} & targets


def test_the_readmes_words_come_before_its_first_command() -> None:
    words = README.partition("## Ten words\n")[2].partition("\n## ")[0]
    assert README.index("## Ten words") < README.index("```")
    explained = " ".join(re.findall(r"\*\*(.+?)\*\*", words)).lower().split()
    assert {
        *("run", "row", "study", "plan", "profile", "evaluation", "source", "corpus"),
        *("n_sep", "n_re", "l1+3", "sep1x2-re1x3-l1+3"),
    } <= set(explained)
    assert words.count("\n* ") == 10


def test_runs_that_the_readme_compares_are_those_of_its_smoke_run() -> None:
    planned = plan(find_studies(["fig2a"]), "smoke", runs_dir=Path("none"), corpora=Corpora())
    (asked,) = re.findall(r"^tisdiss diff (\w+) (\w+)", README, re.M)
    assert [planned.run(digits).name for digits in asked] == [
        "sep1x2-re1x3-l1",
        "sep1x2-re1x3-l3",
    ]
    assert f"diff {asked[0]} {asked[1]}" in (get_command(cli.app).commands["diff"].help or "")


def test_the_readmes_study_is_one_that_its_size_can_plan(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "rate.yaml"
    file.write_text(text)
    asked = re.search(r"tisdiss run (\S+)\n", README[README.index(text) :])
    assert asked and asked[1] == file.name
    (study,) = find_studies([str(file)])
    assert study.study == file.stem and len(study.claims) == 3
    rates = {row.id: row.set.get("optim.lr") for row in study.rows}
    assert rates == {"base": None, "slow": 1e-4, "fast": 5e-4}


def test_files_that_the_readme_names_exist() -> None:
    tree = re.findall(r"`((?:studies|tests|tisdiss|schemas|scripts|analysis)/[\w./-]+)`", README)
    assert tree
    assert not [name for name in tree if not (ROOT / name).exists()]


def test_modules_in_the_readmes_tree_exist() -> None:
    (block,) = re.findall(r"```\n(tisdiss/ .*?)```", README, re.DOTALL)
    folder, missing = ROOT, []
    for line in block.splitlines():
        folder = ROOT if not line.startswith(" ") else folder
        names = re.match(r"\s*((?:[\w./-]+(?:/|\.\w+) ?)+)", line)
        for name in names[1].split() if names else ():
            missing += [name] if not (folder / name).exists() else []
            if not line.startswith(" "):
                folder = ROOT / name
    generated = {"reports/", "models/"}
    assert not set(missing) - generated


def test_kept_evidence_is_as_it_was_written() -> None:
    """So that a command replaces it where it is named; else see `analysis/inventory.py`."""
    lists = sorted((ROOT / "reports").rglob("files.sha256"))
    assert len(lists) > 8
    for path in lists:
        command = ["sha256sum", "--check", "--strict", "--quiet", path.name]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
        assert done.returncode == 0, f"{path.parent}: {done.stdout}{done.stderr}"


def test_figures_of_kept_evidence_have_no_type_3_fonts() -> None:
    figures = sorted((ROOT / "reports").rglob("*.pdf"))
    assert figures and not [path for path in figures if b"/Type3" in path.read_bytes()]


def test_the_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[?Unreleased", changelog, re.M) or f"## [{version}]" in changelog
    assert "MIT License" in (ROOT / "LICENSE").read_text()


def test_the_python_example_works_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a 44.1 kHz stereo file of two voices: it scores as the model does at 8 kHz."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    pieces = [0.3 * generated(speaker) for speaker in ("speaker00", "speaker11")]
    sources = resample(torch.stack(pieces), 8000, 44100)
    soundfile.write(tmp_path / "talk.wav", torch.stack([sources.sum(0)] * 2, 1).numpy(), 44100)
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    exec(compile(code, "README.md", "exec"), shown)
    speakers = shown["speakers"]
    assert speakers.shape == (2, sources.shape[1])
    with torch.inference_mode():
        expected = shown["separator"].model(torch.stack(pieces).sum(0)[None], n_re=3)
    ours, models = (
        si_snr(reorder(e, best_permutation(e, s)), s).mean()
        for e, s in (
            (resample(speakers, 44100, 8000)[None], torch.stack(pieces)[None]),
            (expected, torch.stack(pieces)[None]),
        )
    )
    assert models > 2 and ours > models - 1  # resampling costs these harmonic sounds a little


def generated(speaker: str) -> torch.Tensor:
    source = synthetic()
    own = [source.read(u) for u in source.utterances if u.speaker == speaker]
    return torch.tensor(np.concatenate(own)[:24000])
