"""`--json`: one document on stdout, its keys and its values."""

import json
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest
from typer.main import get_command

from tisdiss import cli
from tisdiss.cli.answers import gc_document, print_json
from tisdiss.cost.measured import Profile
from tisdiss.data.check.finding import Finding
from tisdiss.harness.diff import Difference
from tisdiss.harness.gc import Collected, Rubbish
from tisdiss.harness.reproduction.agreement import Agreement
from tisdiss.harness.reproduction.reproduce import Reproduction
from tisdiss.records.run_folder import RunFolder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answer(tisdiss: Run) -> Callable[..., dict]:
    """The document of a command that ends with `code`."""

    def read(*words: object, code: int = 0) -> dict:
        ended, out, errors = tisdiss(*words, "--json")
        assert ended == code, errors
        document = json.loads(out)
        assert document.pop("schema") == 1
        assert document.pop("command") == " ".join(w for w in map(str, words) if w in NAMES)
        return document

    return read


READING = (
    *("plan", "status", "claims", "why", "diff", "power", "profile", "gc"),
    *("reproduce",),
    *("data check", "data stats"),
)
NAMES = {word for name in READING for word in name.split()}


@pytest.mark.parametrize("name", READING)
def test_every_command_that_reads_has_the_option(name: str) -> None:
    command = get_command(cli.app)
    for word in name.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    assert "--json" in {option for param in command.params for option in param.opts}


def test_what_json_cannot_hold_is_null(capsys: pytest.CaptureFixture) -> None:
    print_json("x", {"a": nan, "b": [inf, 1.5, Path("ä/b")], "c": {3: (1, None, True)}})
    out = capsys.readouterr().out
    assert "ä/b" in out
    assert json.loads(out) == {
        **{"schema": 1, "command": "x", "a": None},
        **{"b": [None, 1.5, "ä/b"], "c": {"3": [1, None, True]}},
    }


def test_a_plan(answer: Callable[..., dict], tmp_path: Path) -> None:
    plan = answer("plan", "fig2a", "--profile", "smoke", "--row", "l1", "--runs-dir", tmp_path)
    assert plan.keys() == {"profile", "runs", "basis", "seconds", "notes"}
    assert (plan["profile"], plan["basis"], plan["seconds"]) == ("smoke", None, None)
    (run,) = plan["runs"]
    assert len(run["run"]) == 64 and run["model"].startswith("sep1x2-re1x3")
    assert (run["kind"], run["seed"], run["state"], run["unknown"]) == ("train", 0, "new", None)
    assert "fig2a/l1" in run["shown_in"]
    assert run["parameters"] > 1000 and run["macs_per_second"] > run["parameters"]
    assert run["memory"] > 4 * run["parameters"]


def test_a_status(answer: Callable[..., dict], tmp_path: Path) -> None:
    assert answer("status", "--runs-dir", tmp_path) == {"rows": []}
    run = {"seed": 3, "identity": "ab" * 32, "evaluation": "cd" * 32}
    plan = {"study": "fig2a", "profile": "smoke", "rows": [{"id": "l1", "runs": [run]}]}
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "fig2a.smoke.json").write_text(json.dumps(plan))
    folder = RunFolder.of(tmp_path, "ab" * 32)
    folder.write("config.json", {"identity": folder.identity})
    folder.write("result.json", {"status": "failed", "reason": "OSError: no room in [/disk]"})
    assert answer("status", "--runs-dir", tmp_path)["rows"] == [
        {
            **{"study": "fig2a", "profile": "smoke", "row": "l1", "run": "ab" * 32, "seed": 3},
            **{"state": "failed", "progress": "OSError: no room in [/disk]"},
        }
    ]


def test_a_status_is_watched_or_printed(tisdiss: Run, tmp_path: Path) -> None:
    code, out, errors = tisdiss("status", "--json", "--watch", "--runs-dir", tmp_path)
    assert (code, out) == (2, "") and "leave --watch out" in errors


def test_differences(answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Difference("config", "optim.lr", 1e-3, 1e-4), Difference("scores", "sdri", nan, None)]
    monkeypatch.setattr("tisdiss.harness.diff.diff", lambda *_: found)
    assert answer("diff", "ab", "cd") == {
        "differences": [
            {"part": "config", "what": "optim.lr", "a": 1e-3, "b": 1e-4},
            {"part": "scores", "what": "sdri", "a": None, "b": None},
        ]
    }


def reproduction(verdict: str) -> Reproduction:
    agreement = Agreement("weights", 7, False, inf if verdict == "different" else 1e-9, 1e-6, "w")
    return Reproduction(
        run="ab" * 32,
        model="sep1x1-re1x1-l1",
        verdict=verdict,  # type: ignore[arg-type]
        agreements=[agreement],
        causes=[Difference("packages", "numpy", "2.4.5", None)],
        code="commit 0123456789",
        packages="3 packages by uv",
        parent=None,
        notes=["a note"],
        scratch=None,
    )


@pytest.mark.parametrize(("verdict", "code"), [("equal within rounding", 0), ("different", 1)])
def test_a_reproduction(
    answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch, verdict: str, code: int
) -> None:
    monkeypatch.setattr(
        "tisdiss.harness.reproduction.reproduce.reproduce", lambda *_, **__: reproduction(verdict)
    )
    difference = None if code else 1e-9
    assert answer("reproduce", "ab", code=code) == {
        **{"run": "ab" * 32, "model": "sep1x1-re1x1-l1", "verdict": verdict},
        "agreements": [
            {
                **{"what": "weights", "count": 7, "equal": False, "difference": difference},
                **{"bound": 1e-6, "where": "w", "verdict": verdict},
            }
        ],
        "causes": [{"part": "packages", "what": "numpy", "a": "2.4.5", "b": None}],
        **{"code": "commit 0123456789", "packages": "3 packages by uv", "parent": None},
        **{"notes": ["a note"], "scratch": None},
    }


def test_a_profile(answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Profile(
        "sep1x1-re1x1-l1", 7, 0.5, "cpu", 1, {"encoder": 2, "decoder": 3}, {1: 5}, 0.4, 9
    )
    monkeypatch.setattr("tisdiss.cost.measured.profile", lambda *_, **__: cost)
    assert answer("profile", "sep1x1-re1x1-l1") == {
        **{"model": "sep1x1-re1x1-l1", "parameters": 7, "seconds": 0.5, "device": "cpu"},
        **{"threads": 1, "macs": 5, "macs_by_part": {"encoder": 2, "decoder": 3}},
        **{"macs_by_n_re": {"1": 5}, "real_time_factor": 0.4, "peak_memory": 9},
    }


def test_a_check_of_a_corpus(answer: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("PASS", "counts", "3 of 3"), Finding("FAIL", "sums", "off", "a gain")]
    monkeypatch.setattr("tisdiss.data.check.doctor.check", lambda *_, **__: findings)
    assert answer("data", "check", "wsj0-2mix", "x", code=1) == {
        "corpus": "wsj0-2mix",
        "failed": True,
        "findings": [
            {"level": "PASS", "check": "counts", "message": "3 of 3", "cause": ""},
            {"level": "FAIL", "check": "sums", "message": "off", "cause": "a gain"},
        ],
    }


def test_statistics_of_speech(answer: Callable[..., dict], tmp_path: Path) -> None:
    stats = answer("data", "stats", "synthetic", "--cache", tmp_path)
    assert stats["corpus"] == "synthetic" and len(stats["manifest"]) == 64
    assert stats["parts"].keys() == {"train", "val", "test"}
    test = stats["parts"]["test"]
    assert test.keys() == {"utterances", "speakers", "hours", "min_s", "mean_s", "max_s"}
    assert test["hours"] == pytest.approx(test["utterances"] * test["mean_s"] / 3600)


def test_rubbish(answer: Callable[..., dict], tmp_path: Path) -> None:
    assert answer("gc", "--dry-run", "--runs-dir", tmp_path) == {
        **{"deleted": False, "rubbish": [], "bytes": 0, "problems": []}
    }
    found = Collected([Rubbish(Path("a"), "old", 3), Rubbish(Path("b"), "old", 4)], ["c: damaged"])
    assert gc_document(found, dry_run=False)["bytes"] == 7
