"""Arrows point down: cli > analysis > harness > core > layers. Read off the imports themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES_FOR_ANALYSIS = {
    *("tisdiss.files", "tisdiss.mounts"),
    *(
        f"tisdiss.harness.{part}"
        for part in ("schema", "study", "profiles", "expression", "records", "revision")
    ),
}
RELEASED_NAMES = (
    *("encoder_blocks", "encoder_repeat_times", "spliter", "num_spk", "emb_dim"),
    *("intra_rnn", "attn_conv", "lstm_hidden_units"),
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(p): p for top in ("tisdiss", "analysis") for p in (ROOT / top).rglob("*.py")}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def imports(name: str, *, lazy: bool = True) -> set[str]:
    """Modules that a module imports; without `lazy` ones inside functions or for types only."""
    nodes = ast.walk(TREES[name]) if lazy else _at_import(TREES[name].body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{name}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & SOURCES.keys()
            found |= submodules or {node.module}
    return found


def _at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.Try):
            yield from _at_import(node.body)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from _at_import(node.body + node.orelse)
        else:
            yield node


def reached(name: str) -> set[str]:
    """Everything that is loaded when a module is imported, as far as our own files say."""
    seen, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in SOURCES:
            parents = {module.rsplit(".", k)[0] for k in range(1, module.count(".") + 1)}
            waiting += [*imports(module, lazy=False), *(parents & SOURCES.keys())]
    return seen


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


COMMANDS = sorted(name for name in SOURCES if name.startswith("tisdiss.cli"))
CORE = sorted(
    name
    for name in SOURCES
    if within(name, "tisdiss") and not within(name, "tisdiss.harness", *COMMANDS)
)
HARNESS = sorted(name for name in SOURCES if within(name, "tisdiss.harness"))
ANALYSIS = sorted(name for name in SOURCES if within(name, "analysis"))


def test_the_walk_sees_what_it_should() -> None:
    assert len(CORE) > 20 and len(HARNESS) > 10 and len(ANALYSIS) > 5
    assert {"tisdiss.checkpoint", "torch"} <= imports("tisdiss.train")
    assert "pandas" in imports("tisdiss.harness.records")
    assert "pandas" not in imports("tisdiss.harness.records", lazy=False)
    assert "torch" in reached("tisdiss.evaluate")


@pytest.mark.parametrize("name", CORE)
def test_the_model_knows_nothing_of_studies_trackers_and_plots(name: str) -> None:
    above = ("tisdiss.harness", "analysis", *COMMANDS)
    tools = ("mlflow", "pandas", "matplotlib", "seaborn", "optuna", "typer", "rich")
    assert not [module for module in imports(name) if within(module, *above, *tools)]


@pytest.mark.parametrize("name", HARNESS)
def test_the_harness_imports_neither_commands_nor_analysis(name: str) -> None:
    assert not [module for module in imports(name) if within(module, "analysis", *COMMANDS)]


@pytest.mark.parametrize("name", ANALYSIS)
def test_analysis_needs_no_torch_and_only_names_of_the_harness(name: str) -> None:
    ours = {module for module in imports(name) if within(module, "tisdiss")}
    assert ours <= NAMES_FOR_ANALYSIS
    heavy = ("torch", "torchaudio", "torchmetrics", "mlflow")
    assert not [module for module in imports(name) | reached(name) if within(module, *heavy)]


@pytest.mark.parametrize("name", ["tisdiss.config", "tisdiss.harness.plan", "tisdiss.harness.run"])
def test_planning_loads_no_torch(name: str) -> None:
    assert not [module for module in reached(name) if within(module, "torch", "pandas", "mlflow")]


def test_the_command_line_loads_nothing_heavy() -> None:
    ours = {module for module in reached("tisdiss.cli") if within(module, "tisdiss", "analysis")}
    assert ours <= {"tisdiss", "tisdiss.limits", *COMMANDS}


def test_only_tracking_writes_to_mlflow() -> None:
    users = [name for name in SOURCES if any(within(m, "mlflow") for m in imports(name))]
    assert users == ["tisdiss.harness.experiment", "tisdiss.harness.tracking"]


def test_only_two_modules_know_the_released_names() -> None:
    knowing = {
        name for name, path in SOURCES.items() if any(w in path.read_text() for w in RELEASED_NAMES)
    }
    assert knowing == {"tisdiss.espnet", "tisdiss.espnet_gridnet"}


def test_nothing_but_the_command_line_needs_the_released_names() -> None:
    knowing = {"tisdiss.espnet", "tisdiss.espnet_gridnet"}
    assert not [name for name in SOURCES.keys() - knowing if knowing & imports(name)]


def test_layers_know_neither_the_model_nor_the_training() -> None:
    below = ("layers", "stft", "bands", "splitter", "separator", "reconstructor", "codec", "losses")
    for part in below:
        used = {module for module in reached(f"tisdiss.{part}") if within(module, "tisdiss")}
        above = {f"tisdiss.{name}" for name in ("model", "train", "evaluate", "checkpoint", "data")}
        assert not used & above, part


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {n: imports(n, lazy=False) & SOURCES.keys() - {"tisdiss", n} for n in SOURCES}
    done: set[str] = set()
    while ready := {n for n in graph if n not in done and graph[n] <= done}:
        done |= ready
    assert not graph.keys() - done - {"tisdiss"}
