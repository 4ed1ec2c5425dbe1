"""Layers of packages: a module imports only from its own package or from lower layers."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    *("machine", "settings", "records", "sound", "network", "data", "training", "released"),
    *("use", "web", "cost", "study", "harness", "cli"),
)
"""Packages from the lowest to the highest; analysis imports only records and study."""
FILES = {
    "settings": (
        *(
            "limits",
            "depths",
            "paper_names",
            "band_layouts",
            "codec_kinds",
            "splitter_kinds",
            "architectures",
            "contract",
            "plugins",
        ),
        "speech_sources",
        "config",
    ),
    "network": (
        *("kernels", "baselines"),
        *("stft", "bands", "layers", "codec", "splitter", "separator", "reconstructor", "parts"),
        *("model", "whole", "losses", "metrics"),
    ),
    "training": (
        *("train", "objective", "evaluate", "optimisers", "schedule", "checkpoint", "shipped"),
        *(
            "quality",
            "separate",
            "recordings",
            "dial",
            "level",
            "stitch",
            "order",
            "voices",
            "activity",
            "wave",
        ),
    ),
    "use": ("speech_separator", "convert", "onnx_export"),
    "cli": ("__main__",),
}
RELEASED_NAMES = (
    *("encoder_blocks", "encoder_repeat_times", "spliter", "num_spk", "emb_dim"),
    *("intra_rnn", "attn_conv", "lstm_hidden_units"),
    *("num_spks", "gcfn", "spk_split_block", "out_layer_bn"),
    *("layers_type", "focusing_factor", "gate_layer"),
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "analysis":
        parts = ("tisdiss", *parts)
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


def room_of(name: str) -> str:
    """The room of a module of ours; "" for the package itself."""
    first = name.split(".")[1] if "." in name else ""
    return next((room for room, files in FILES.items() if first in files), first)


ANALYSIS = sorted(name for name in SOURCES if within(name, "tisdiss.analysis"))
INSIDE = sorted(name for name in SOURCES if room_of(name))


def test_the_walk_sees_what_it_should() -> None:
    assert len(INSIDE) > 120 and len(ANALYSIS) > 20
    assert {room_of(name) for name in INSIDE} == {*ROOMS, "analysis"}
    assert {"tisdiss.checkpoint", "torch"} <= imports("tisdiss.train")
    assert "pandas" in imports("tisdiss.records.scores")
    assert "pandas" not in imports("tisdiss.records.scores", lazy=False)
    assert "torch" in reached("tisdiss.evaluate")


@pytest.mark.parametrize("name", [name for name in INSIDE if room_of(name) != "analysis"])
def test_imports_go_down_or_stay_in_the_room(name: str) -> None:
    own = room_of(name)
    may = {*ROOMS[: ROOMS.index(own) + 1], *(["analysis"] if own == "cli" else []), ""}
    ours = [module for module in imports(name) if within(module, "tisdiss")]
    assert not [module for module in ours if room_of(module) not in may]


@pytest.mark.parametrize("name", [n for n in INSIDE if room_of(n) in ROOMS[:-3]])
def test_the_model_knows_nothing_of_trackers_and_plots(name: str) -> None:
    tools = ("mlflow", "matplotlib", "seaborn", "optuna", "typer", "rich")
    assert not [module for module in imports(name) if within(module, *tools)]


@pytest.mark.parametrize("name", ANALYSIS)
def test_analysis_stands_on_records_and_the_study_language(name: str) -> None:
    rooms = {room_of(module) for module in imports(name) if within(module, "tisdiss")}
    assert rooms <= {"analysis", "records", "study", "settings", "machine", ""}
    heavy = ("torch", "torchaudio", "torchmetrics", "mlflow")
    assert not [module for module in imports(name) | reached(name) if within(module, *heavy)]


@pytest.mark.parametrize(
    "name", ["tisdiss.config", "tisdiss.harness.planner", "tisdiss.harness.run"]
)
def test_planning_loads_no_torch(name: str) -> None:
    assert not [module for module in reached(name) if within(module, "torch", "pandas", "mlflow")]


PLAIN = {
    *("tisdiss", "tisdiss.limits", "tisdiss.plugins", "tisdiss.speech_sources"),
    *("tisdiss.harness", "tisdiss.harness.engines"),
    *("tisdiss.machine", "tisdiss.machine.extras", "tisdiss.machine.folders"),
}
"""What the help of commands is made of."""


def test_the_command_line_loads_nothing_heavy() -> None:
    ours = {module for module in reached("tisdiss.cli") if within(module, "tisdiss")}
    assert {module for module in ours if room_of(module) != "cli"} <= PLAIN


def test_only_these_modules_use_mlflow() -> None:
    users = [name for name in SOURCES if any(within(m, "mlflow") for m in imports(name))]
    modules = ("experiment", "logged_models", "mlflow_flavor", "promote", "registry", "sync")
    assert sorted(users) == [f"tisdiss.harness.tracking.{module}" for module in modules]


KNOWING = {
    f"tisdiss.released.{name}"
    for name in ("tisdiss", "settings", "recipes", "gridnet", "sepreformer", "fla")
}


def test_only_these_modules_know_the_released_names() -> None:
    knowing = {
        name for name, path in SOURCES.items() if any(w in path.read_text() for w in RELEASED_NAMES)
    }
    assert knowing == KNOWING


def test_nothing_but_the_command_line_needs_the_released_names() -> None:
    users = SOURCES.keys() - KNOWING - {"tisdiss.released"}
    assert not [name for name in users if KNOWING & imports(name)]


def test_layers_know_neither_the_model_nor_the_training() -> None:
    below = ("layers", "stft", "bands", "splitter", "separator", "reconstructor", "codec", "losses")
    for part in below:
        used = {module for module in reached(f"tisdiss.{part}") if within(module, "tisdiss")}
        above = {f"tisdiss.{name}" for name in ("model", "train", "evaluate", "checkpoint", "data")}
        assert not used & above, part


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {n: imports(n) & SOURCES.keys() - {"tisdiss", n} for n in SOURCES}
    done: set[str] = set()
    while ready := {n for n in graph if n not in done and graph[n] <= done}:
        done |= ready
    assert not graph.keys() - done - {"tisdiss"}


def test_the_package_needs_no_module_called_analysis() -> None:
    """A user's own may be found first, and an installed wheel has none."""
    for name, tree in TREES.items():
        words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        assert "analysis" not in words and "analysis" not in imports(name), name
        assert not [w for w in words if isinstance(w, str) and "from analysis" in w], name
