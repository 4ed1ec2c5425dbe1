"""The command line: help with examples, instantly; mistakes are one message, never a traceback."""

import io
import json
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from click.testing import Result
from rich.console import Console
from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner

from tisdiss import __version__, cli
from tisdiss.checkpoint import save_model
from tisdiss.cli.bar import Stages, report_stages
from tisdiss.cli.number_commands import folded
from tisdiss.config import LossConfig
from tisdiss.harness.display import Watcher
from tisdiss.harness.ui import check_port
from tisdiss.model import TISDiSS
from tisdiss.records.run_folder import Journal, RunFolder
from tisdiss.study.load import find_studies
from tisdiss.wave import write_wav

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


@pytest.mark.parametrize("group", [[], ["data"]])
def test_every_group_has_the_version_and_the_short_help(group: list[str]) -> None:
    assert invoke(*group, "--version").output == f"tisdiss {__version__}\n"
    shown = invoke(*group, "-h").output
    assert shown == invoke(*group, "--help").output
    assert "--version" in shown and "Commands" in shown


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
    return in_a_process(*options, "-m", "tisdiss.cli", "--help")


def in_a_process(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_study_outside_of_the_project_says_where_it_was_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="studies/ holds none here: go to"):
        find_studies(["fig2a"])


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
    """All in one process: what one of them loads, those after it have, too."""
    asked = "\n".join(REFUSED)
    done = subprocess.run(
        [sys.executable, "-c", REFUSING], input=asked, capture_output=True, text=True, cwd=ROOT
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("REFUSED|")]
    found_wanting = {"data check wsj0-2mix none": 1}
    wanted = [f"REFUSED|{words}|{found_wanting.get(words, 2)}" for words in REFUSED]
    assert told == wanted, done.stderr


def test_stages_tell_the_time_left_by_how_long_those_before_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clock = iter([100.0, 108.0, 108.5, 121.0])
    monkeypatch.setattr("tisdiss.cli.bar.time.monotonic", lambda: next(clock))
    told = Stages(report_stages(1, notebook=False))
    for what in ("fig2a: scores", "fig2a: figures", "fig2a: no font", "fig2a: tables and claims"):
        told(what)
    # usually 4, 0.2, 6 and 0.3 s; here loading takes twice as long
    assert capsys.readouterr().err.splitlines() == [
        "loading, about 10 s left",
        "fig2a: scores, about 13 s left",
        "fig2a: figures, about 13 s left",
        "fig2a: no font",
        "fig2a: tables and claims, about 1 s left",
    ]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tisdiss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    """Runs the command in this process; exit code, output and errors."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tisdiss", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


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


def test_a_busy_port_is_refused_before_anything_is_served(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code, out, errors = tisdiss("ui", "--port", port, "--runs-dir", tmp_path / "runs")
    assert (code, out) == (2, "") and not (tmp_path / "mlflow.db").exists()
    assert f"error: port {port} of this machine cannot be used (Address already in use)" in errors
    assert "--port" in errors
    check_port(port, runs_dir=tmp_path / "runs")


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
    assert tisdiss() == (130, "", "stopped; the same command goes on from here\n")


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


def test_the_schema_printed_is_the_schema_shipped(tisdiss: Run) -> None:
    code, out, _ = tisdiss("schema")
    assert code == 0
    assert json.loads(out) == json.loads((ROOT / "schemas" / "study.schema.json").read_text())


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_status_of_nothing_says_how_to_begin(tisdiss: Run, tmp_path: Path, watch) -> None:
    code, out, _ = tisdiss("status", *watch, "--runs-dir", tmp_path)
    assert code == 0
    assert f"no study is planned in {tmp_path}; begin with: tisdiss run fig2e --prof" in out


@pytest.fixture
def planned_run(tmp_path: Path) -> RunFolder:
    """The first of two runs that fig2a plans; of the second there is no folder."""
    rows = [
        {"id": row, "runs": [{"seed": 0, "identity": letters * 32, "evaluation": "cd" * 32}]}
        for row, letters in (("l1", "ab"), ("l2", "12"))
    ]
    plan = {"study": "fig2a", "profile": "smoke", "rows": rows}
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "fig2a.smoke.json").write_text(json.dumps(plan))
    folder = RunFolder.of(tmp_path, "ab" * 32)
    folder.write("config.json", {"identity": folder.identity})
    return folder


def status_rows(out: str) -> dict[str, list[str]]:
    """The words of each line of the table, by row."""
    return {words[2]: words for words in map(str.split, out.splitlines()) if len(words) > 5}


def test_status_gives_the_reason_of_a_failure_as_it_is(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder
) -> None:
    planned_run.write("result.json", {"status": "failed", "reason": "OSError: no room in [/disk]"})
    code, out, _ = tisdiss("status", "--runs-dir", tmp_path)
    assert code == 0 and "failed" in out and "OSError: no room in [/disk]" in out


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_status_refuses_a_study_that_is_not_planned(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder, watch
) -> None:
    code, out, errors = tisdiss("status", "fig2b", *watch, "--runs-dir", tmp_path)
    assert (code, out) == (2, "")
    assert (
        f"error: study 'fig2b' has no plan in {tmp_path}; nearest valid name: 'fig2a'; " in errors
    )
    assert tisdiss("status", "studies/fig2a.yaml", *watch, "--runs-dir", tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["config.json", "result.json", "events.jsonl"])
def test_status_shows_a_damaged_run_and_goes_on(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder, name: str, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (planned_run.path / name).write_text('{"sta\n')
    (tmp_path / "plans" / "fig2b.mini.json").write_text("{")
    code, out, _ = tisdiss("status", "--runs-dir", tmp_path)
    rows = status_rows(out)
    assert code == 0 and (rows["l1"][5], rows["l2"][5]) == ("damaged", "new")
    told = "".join(out.split())
    assert name in told and "fig2b.mini.json:notJSON" in told and "…" not in told


def test_progress_is_not_that_of_another_evaluation(
    tisdiss: Run, tmp_path: Path, planned_run: RunFolder
) -> None:
    planned_run.write("result.json", {"status": "running", "reason": "time"})
    with Journal(planned_run.journal) as journal:
        journal.append({"kind": "epoch", "step": 9, "epoch": 2, "metrics": {}})
        journal.append({"kind": "eval", "step": 5, "epoch": 0, "metrics": {}})
        journal.append({"kind": "depth", "step": 10, "epoch": 0, "evaluation": "ef" * 32})
    out = tisdiss("status", "--runs-dir", tmp_path)[1]
    assert "epoch 2 step 9" in out and "scored" not in out and "eval 5" not in out
    path = planned_run.evaluation("cd" * 32)
    path.with_name(f".{path.name}.partial").mkdir(parents=True)
    assert "eval 5" in tisdiss("status", "--runs-dir", tmp_path)[1]
    with Journal(planned_run.journal) as journal:
        journal.append({"kind": "depth", "step": 6, "epoch": 0, "evaluation": "cd" * 32})
    assert "scored up to N_re 6" in tisdiss("status", "--runs-dir", tmp_path)[1]


def test_a_warning_of_a_run_is_shown_at_once() -> None:
    console = Console(file=io.StringIO(), width=100)
    run = SimpleNamespace(identity="ab" * 32, name="sep1x2-re1x3-l1+3")
    event = {"kind": "warning", "step": 3, "epoch": 0, "text": "state [one] is damaged"}
    Watcher(console)(run, event)
    assert console.file.getvalue() == "ababababab warning: state [one] is damaged\n"


@pytest.mark.parametrize(
    ("words", "partition"),
    [(["--engine", "slurm"], None), (["--slurm", "FILE"], "gpu"), ([], "on this machine")],
)
def test_the_engine_is_chosen_by_its_name_or_its_settings(
    tisdiss: Run, tmp_path: Path, monkeypatch, words: list[str], partition: str | None
) -> None:
    from tisdiss.harness import launch, slurm

    def on_slurm(planned, *, settings, **_):
        used.append(settings.partition)
        return {"a": "done", "b": "skipped"}

    def here(planned, **_):
        used.append("on this machine")
        return {"a": "failed"}

    used: list[str | None] = []
    monkeypatch.setattr(cli, "_plan", lambda *_: SimpleNamespace(notes=()))
    monkeypatch.setattr(slurm, "launch_on_slurm", on_slurm)
    monkeypatch.setattr(launch, "launch", here)
    (tmp_path / "cluster.yaml").write_text("partition: gpu\n")
    file = str(tmp_path / "cluster.yaml")
    code, out, _ = tisdiss("run", "fig2a", *(file if w == "FILE" else w for w in words))
    assert used == [partition]
    assert (code, out) == ((0, "1 done, 1 skipped\n") if words else (3, "1 failed\n"))


def test_on_a_terminal_each_run_has_a_bar_with_the_time_left() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    watcher = Watcher(console)
    config = SimpleNamespace(epochs=2, steps_per_epoch=5)
    runs = [SimpleNamespace(identity=i * 64, parent=None, config=config) for i in "ab"]
    for run in runs:
        metrics = {"train/loss": -3.5, "speed/seconds_left": 75.0}
        watcher(run, {"kind": "train", "step": 4, "epoch": 0, "metrics": metrics})
    console.print(watcher.progress)
    drawn = Text.from_ansi(console.file.getvalue()).plain.splitlines()
    assert [line.split()[:2] for line in drawn] == [
        ["aaaaaaaaaa", "train"],
        ["bbbbbbbbbb", "train"],
    ]
    assert all(line.rstrip().endswith("step 4, loss -3.50 dB, 1:15 left") for line in drawn)
    scored = {"kind": "eval", "step": 6, "epoch": 0, "metrics": {"eval/mixtures": 6}}
    watcher(runs[0], scored)
    assert [task.description for task in watcher.progress.tasks] == ["bbbbbbbbbb train"]


@pytest.fixture
def model_file(tiny, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, TISDiSS.from_config(tiny("sep1x2-re1x2-l1+2")), {})
    return path


def test_separate_writes_a_file_per_speaker_and_says_where(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    sounds = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for sound in sounds:
        write_wav(sound, 0.1 * torch.randn(1600), 16000)
    code, out, errors = tisdiss(
        "separate", *sounds, "-o", tmp_path / "out", "--n-re", 5, "--model", model_file
    )
    assert (code, errors) == (0, "")
    names = [f"{stem}_speaker{j}.wav" for stem in ("one", "two") for j in (1, 2)]
    assert sorted(os.listdir(tmp_path / "out")) == names
    assert all(soundfile.info(tmp_path / "out" / name).frames == 1600 for name in names)
    assert re.search(rf"{sounds[0]} \(0.1 s\) at N_re = 5 in \d+\.\d s:\n", out)
    assert all(str(tmp_path / "out" / name) in out for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-re", 0], "Invalid value for '--n-re'"),
        (["--settled", -30], "-30: give a number above 0"),
        (["--within", 0], "0: give a number above 0"),
        (["--device", "gpu"], "device='gpu' cannot be used here"),
    ],
)
def test_separate_refuses_what_cannot_be_done(
    tisdiss: Run, model_file: Path, tmp_path: Path, options: list, message: str
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    out = tmp_path / "out"
    code, _, errors = tisdiss(
        "separate", tmp_path / "talk.wav", "-o", out, "--model", model_file, *options
    )
    assert code == 2 and message in errors and not out.exists()


def test_separate_names_a_file_that_cannot_be_read(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    code, _, errors = tisdiss("separate", tmp_path / "absent.wav", "--model", model_file)
    assert (code, errors) == (2, f"error: {tmp_path / 'absent.wav'}: no such sound file\n")


def test_separate_goes_on_after_a_file_that_cannot_be_read(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    (tmp_path / "text.wav").write_text("no sound")
    sounds = [tmp_path / "text.wav", tmp_path / "talk.wav"]
    code, _, errors = tisdiss(
        "separate", *sounds, "-o", tmp_path / "out", "--within", 1e-9, "--model", model_file
    )
    assert code == 2
    assert f"error: {sounds[0]}: corrupt or no audio" in errors
    assert errors.endswith("1 of 2 files could not be separated\n")
    assert sorted(os.listdir(tmp_path / "out")) == ["talk_speaker1.wav", "talk_speaker2.wav"]


def test_separate_says_when_one_pass_takes_longer_than_allowed(
    tisdiss: Run, model_file: Path, tmp_path: Path
) -> None:
    write_wav(tmp_path / "talk.wav", 0.1 * torch.randn(900), 8000)
    words = ["separate", tmp_path / "talk.wav", "-o", tmp_path / "out", "--model", model_file]
    late, in_time = (tisdiss(*words, "--within", seconds)[1] for seconds in (1e-9, 1000))
    assert re.search(r"at N_re = 1 in \d+\.\d s, over the 1e-09 s of --within:", late)
    assert "--within" not in in_time


def test_a_search_prints_its_trials_and_draws_them(
    tisdiss: Run, tmp_path: Path, monkeypatch
) -> None:
    """What trials and figures are is tested in harness/test_search.py and analysis."""
    from tisdiss.harness import search

    trials = [
        search.Tried(0, "complete", {"optim.lr": 1e-3}, (2.5,), "ab" * 32, ""),
        search.Tried(1, "fail", {"optim.lr": 1e-2}, None, "cd" * 32, "Diverged: too high"),
    ]
    monkeypatch.setattr(search, "search", lambda spec, profile, **_: trials)
    monkeypatch.setattr("tisdiss.analysis.search.report_search", lambda *given, force: [given])
    words = ["--profile", "smoke", "--runs-dir", tmp_path / "runs", "--out", tmp_path / "reports"]
    code, out, errors = tisdiss("search", "search_loss", *words)
    assert (code, errors) == (0, "")
    assert "*   0 complete  2.5 " in out and "1 fail      Diverged: too high" in out
    assert str(("search_loss", "smoke", tmp_path / "runs", tmp_path / "reports")) in out


def test_long_lines_are_folded_below_their_text() -> None:
    lines = [
        "  row       fine-tuned at re1x6, trained at N_re = 6",
        "MISSING         fig2e/deeper: row('re1x6') > row('base')",
        "NOT SIGNIFICANT fig2e/deeper: row('re1x6')",
        "config losses: ['last', 're1'] -> ['last']",
        "            test set 6b4d86ac81",
    ]
    assert folded("\n".join(lines), 32).splitlines() == [
        "  row       fine-tuned at re1x6,",
        "            trained at N_re = 6",
        "MISSING         fig2e/deeper:",
        "                row('re1x6') >",
        "                row('base')",
        "NOT SIGNIFICANT fig2e/deeper:",
        "                row('re1x6')",
        "config losses: ['last', 're1']",
        "  -> ['last']",
        "            test set 6b4d86ac81",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_differences_are_folded_on_a_terminal_alone(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    line = "config losses: " + " ".join(["last"] * 30) + f" {'ab' * 32}"
    monkeypatch.setattr("tisdiss.harness.diff.diff", lambda *_: [line])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("tisdiss.machine.surroundings.Enduring.isatty", lambda _: terminal)
    _, out, _ = tisdiss("diff", "a", "b")
    shown = line.replace("ab" * 32, "ab" * 5) if terminal else line
    assert (out == f"{line}\n") == (not terminal) and out.split() == shown.split()
    assert not terminal or max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("mine", "options", "read", "written"),
    [
        ([], [], "reports", "build/reports"),
        (["fig2b"], [], "reports", "build/reports"),
        (["fig2a"], [], "build/reports", "build/reports"),
        (["fig2a"], ["--reports", "reports"], "reports", "reports"),
    ],
)
def test_reports_go_below_build_and_kept_evidence_changes_only_by_name(
    tisdiss: Run, tmp_path: Path, monkeypatch, mine, options, read: str, written: str
) -> None:

    def called(*given, **_):
        calls.append(tuple(Path(g).as_posix() for g in given if isinstance(g, Path)))
        return [given[-1] / "x"] if isinstance(given[-1], Path) else given[2]

    calls: list[tuple[str, ...]] = []
    monkeypatch.chdir(tmp_path)
    for place in ("reports/fig2a", *(f"build/reports/{study}" for study in mine)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "provenance.json").write_text("{}")
    monkeypatch.setattr("tisdiss.analysis.report.again", called)
    monkeypatch.setattr("tisdiss.analysis.report.compose", called)
    monkeypatch.setattr("tisdiss.analysis.page.html_report", called)
    monkeypatch.setattr(
        "tisdiss.analysis.index.write_index", lambda folder: calls.append((str(folder),))
    )
    assert tisdiss("again", "fig2a", *options)[0] == 0
    assert calls == [(f"{read}/fig2a", f"{written}/fig2a"), (written,)]
    calls.clear()
    assert tisdiss("page", "fig2a", *options)[0] == 0
    index = [(written,)] if read == written else []
    assert calls == [(read, "runs", f"{written}/report.html"), *index]
    calls.clear()
    assert tisdiss("compose", *options)[0] == 0
    found = "build/reports" if mine and not options else "reports"
    assert calls == [(found, written), *([(written,)] if found == written else [])]


@pytest.mark.parametrize(("profile", "home"), [("mini", "build/reports"), ("smoke", "build/smoke")])
def test_a_report_says_what_to_look_at_first(
    tisdiss: Run, tmp_path: Path, monkeypatch, profile: str, home: str
) -> None:

    (tmp_path / "plans").mkdir()
    (tmp_path / f"plans/fig2e.{profile}.json").touch()

    def write_report(study, profile, runs_dir, out, *, say, **_):
        say("fig2e: figures")
        return [out / study / "fig2e.pdf", *[out / study / "x"] * 23, out / "README.md"]

    monkeypatch.setattr("tisdiss.analysis.report.report", write_report)
    code, out, errors = tisdiss("report", "fig2e", "--profile", profile, "--runs-dir", tmp_path)
    assert code == 0
    assert re.fullmatch(r"loading, about 22 s left\nfig2e: figures, about \d+ s left\n", errors)
    assert out.splitlines() == [
        f"{home}/fig2e/README.md: verdicts and table, 23 files beside it",
        f"{home}/fig2e/fig2e.png: the figure",
        f"{home}/README.md: all studies",
    ]


def test_why_names_the_folder_of_smoke_reports(
    tisdiss: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build/smoke/fig2a").mkdir(parents=True)
    code, _, errors = tisdiss("why", "fig2a:l1:si_snri")
    assert code == 2 and "no report of study 'fig2a' in reports; there is one of pro" in errors
    assert errors.endswith("add --reports build/smoke\n")
    assert "--reports build/smoke" not in tisdiss("why", "fig2b:l1:si_snri")[2]


@pytest.mark.parametrize("seed", [2**32, 20261128153000])
def test_a_long_seed_is_refused_before_anything_starts(tisdiss: Run, tmp_path, seed: int) -> None:
    words = ("run", "fig2a", "--profile", "smoke", "--runs-dir", tmp_path / "runs", "--seed", seed)
    code, out, errors = tisdiss(*words)
    assert (code, out) == (2, "") and not (tmp_path / "runs").exists()
    assert errors.startswith(f"error: {seed}: a seed is from 0 to 4294967295, for generators keep")


def test_what_pydantic_finds_is_told_without_its_address(tisdiss: Run, monkeypatch) -> None:
    monkeypatch.setattr(cli, "app", lambda: LossConfig(average="flatt"))
    assert tisdiss() == (2, "", "error: average: 'flatt': must be 'flat' or 'eq1'\n")


@pytest.mark.parametrize("device", ["meta", "mps", "cpu:1"])
@pytest.mark.parametrize("command", ["run", "time"])
def test_other_devices_are_refused_with_one_line(tisdiss: Run, tmp_path, command, device) -> None:
    options = ("--profile", "smoke", "--runs-dir", tmp_path / "runs", "--device", device)
    code, _, errors = tisdiss(command, "fig2a", *options)
    assert code == 2
    line = f"error: device='{device}' cannot be used here; use cpu, cuda or cuda:N"
    assert errors.splitlines()[-1] == line and not (tmp_path / "runs").exists()
