"""The command line: help with examples, instantly; mistakes are one message, never a traceback."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.main import get_command
from typer.testing import CliRunner

from tisdiss import __version__, cli
from tisdiss.config import LossConfig
from tisdiss.machine.folders import CACHE, RUNS

Run = Callable[..., tuple[int, str, str]]


ROOT = Path(__file__).resolve().parents[2]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words), env={"COLUMNS": "200"})


def commands(group: object = None, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(name, command) of every command, those of groups included."""
    for name, command in (group or get_command(cli.app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_explains_itself_with_an_example(name: str, command) -> None:
    assert f"Example: tisdiss {name}" in (command.help or "")
    unexplained = [p.name for p in command.params if p.name != "help" and not p.help]
    assert not unexplained


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_takes_the_short_help(name: str, command) -> None:
    assert invoke(*name.split(), "-h").output == invoke(*name.split(), "--help").output
    assert f"Example: tisdiss {name}" in invoke(*name.split(), "-h").output


@pytest.mark.parametrize(("group", "heading"), [([], "Studies"), (["data"], "Commands")])
def test_every_group_has_the_version_and_the_short_help(group: list[str], heading: str) -> None:
    assert invoke(*group, "--version").output == f"tisdiss {__version__}\n"
    shown = invoke(*group, "-h").output
    assert shown == invoke(*group, "--help").output
    assert "--version" in shown and heading in shown


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_runs_and_cache_are_those_of_the_project(name: str, command) -> None:
    folders = {"runs_dir": RUNS, "cache": CACHE}
    taken = {p.name: p.default for p in command.params if p.name in folders}
    assert not [option for option, default in taken.items() if default is not folders[option]]


SIZED = [
    (name, command) for name, command in commands() if "profile" in {p.name for p in command.params}
]


@pytest.mark.parametrize(("name", "command"), SIZED)
def test_an_unknown_profile_is_told_before_anything_else(name: str, command) -> None:
    result = invoke(
        *name.split(),
        *(["fig2e"] if command.params[0].name != "profile" else []),
        "--profile",
        "min",
    )
    assert result.exit_code == 2
    assert "no profile 'min'; nearest valid name: 'mini'" in result.output


def show_help(*options: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """`tisdiss --help` in its own process, and the processor seconds that it took."""
    return in_a_process(*options, "-m", "tisdiss", "--help")


def in_a_process(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_little_more_than_the_library_that_draws_it() -> None:
    """In processor time, as machines differ; a busy one gets several tries."""
    drawing = "import typer.rich_utils, rich.markdown, rich.columns"
    tries = ((show_help()[1], in_a_process("-c", drawing)[1]) for _ in range(6))
    assert any(ours < 1.8 * library for ours, library in tries)


def test_help_loads_nothing_heavy() -> None:
    done, _ = show_help("-X", "importtime")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"torch", "mlflow", "pandas", "matplotlib", "numpy", "scipy", "pydantic", "jinja2"}
    assert "typer" in loaded and not loaded & heavy
    assert "tisdiss separate talk.wav -o out" in done.stdout


REFUSED = [
    "separate none.wav",
    "separate README.md LICENSE",
    "separate README.md --model none.safetensors",
    "separate README.md --device meta",
    "separate README.md --n-re 0",
    "separate README.md --within 0",
    "run none",
    "run fig2a --profile smoke --row none",
    "run fig2a --device gpu",
    "search none",
    "search search_loss --device gpu",
    "time none",
    "time fig2a --seconds 0",
    "report fig2a --runs-dir none",
    "again none",
    "page none",
    "page --reports none",
    "compose --reports none",
    "claims none",
    "why none",
    "why none:l1:si_snri",
    "profile none",
    "profile none.safetensors",
    "diff a b --runs-dir none",
    "data check none",
    "data check folder none",
    "data check wsj0-2mix none",
    "data stats wsj0-2mix none",
    "data prepare wsj0-2mix none build/none --lists none",
    "data download librispeech none",
]


REFUSING = """
import sys
from tisdiss import cli
for words in sys.stdin.read().splitlines():
    sys.argv = ["tisdiss", *words.split()]
    try:
        cli.main()
    except SystemExit as ended:
        loaded = {"torch", "pandas", "matplotlib", "mlflow", "optuna"} & set(sys.modules)
        print("REFUSED", words, ended.code, *sorted(loaded), sep="|")
"""


def test_what_is_refused_is_told_before_anything_slow_is_loaded() -> None:
    """All run in one process, so that each command reuses the modules of earlier ones."""
    asked = "\n".join(REFUSED)
    done = subprocess.run(
        [sys.executable, "-c", REFUSING], input=asked, capture_output=True, text=True, cwd=ROOT
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("REFUSED|")]
    found_wanting = {"data check wsj0-2mix none": 1}
    wanted = [f"REFUSED|{words}|{found_wanting.get(words, 2)}" for words in REFUSED]
    assert told == wanted, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "fig2z"], "error: no study 'fig2z'; nearest valid name: 'fig2"),
        (["run", "fig2z", "--profile", "smoke"], "error: no study 'fig2z'; nearest"),
        (["ui", "fig2z"], "error: no study 'fig2z'; nearest"),
        (["plan", "fig2a", "--profile", "smok"], "no profile 'smok'; nearest valid name: 'smoke'"),
        (["run", "fig2a", "--profile", "smoke", "--row", "l2"], "'fig2a' has no row 'l2'; "),
        (["search", "search_los"], "no search 'search_los'; nearest valid name: 'search_loss'"),
        (["plan", "/none.yaml"], "error: no study '/none.yaml'; no such file\n"),
        (["search", "/none.yaml"], "error: no search '/none.yaml'; no such file\n"),
        (
            ["plan", "search_loss", "--profile", "smoke"],
            "error: studies/search_loss.yaml is a search, not a study; "
            "use `tisdiss search search_loss`\n",
        ),
        (["run", "studies/search_loss.yaml"], "use `tisdiss search studies/search_loss.yaml`\n"),
        (["report", "search_loss"], "search_loss is a search, not a study; `tisdiss search"),
        (
            ["search", "fig2a"],
            "error: studies/fig2a.yaml is a study, not a search; use `tisdiss run fig2a`\n",
        ),
        (["run", "fig2a", "--slurm", "none.yaml"], "none.yaml: cannot be read"),
        (["report", "fig2a", "--runs-dir", "nowhere"], "no plan of study 'fig2a' at profile"),
        (["separate", "none.wav"], "none.wav: no such sound file"),
        (["separate", "README.md", "--model", "none.safetensors"], "no such model file"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(tisdiss: Run, words, message: str) -> None:
    code, out, errors = tisdiss(*words)
    assert code == 2 and not out
    assert message in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "fig2a", "--seed", -1], "'--seed': Input should be greater than or equal to 0"),
        (["plan", "fig2a", "--seed", -1], "'--seed': Input should be greater than or equal to 0"),
        (["run", "fig2a", "--max-minutes", -1], "'--max-minutes': Input should be greater than"),
        (["run", "fig2a", "--max-minutes", 0], "'--max-minutes': Input should be greater than"),
        (["ui", "--port", 0], "'--port': Input should be greater than or equal to 1"),
    ],
)
def test_a_number_out_of_its_range_is_refused(tisdiss: Run, words: list, message: str) -> None:
    code, _, errors = tisdiss(*words)
    assert code == 2 and message in errors


def test_an_unknown_option_is_refused_with_the_way_to_help(tisdiss: Run) -> None:
    code, _, errors = tisdiss("separate", "--depth", "3")
    assert code == 2 and "No such option: --depth" in errors and "--help" in errors


def test_the_entry_point_prints_no_traceback() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("tisdiss"), "plan", "fig2z"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no study 'fig2z'; nearest valid name: 'fig2")


def test_an_interrupt_says_how_to_go_on(tisdiss: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert tisdiss() == (130, "", "stopped; the same command continues from here\n")


def test_a_mistake_of_the_system_is_a_message_too(tisdiss: Run, monkeypatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "app", full)
    assert tisdiss() == (2, "", "error: [Errno 28] No space left on device\n")


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("ours")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(KeyError):
        cli.main()


def test_what_pydantic_finds_is_told_without_its_address(tisdiss: Run, monkeypatch) -> None:
    monkeypatch.setattr(cli, "app", lambda: LossConfig(average="flatt"))
    assert tisdiss() == (2, "", "error: average: 'flatt': must be 'flat' or 'eq1'\n")
