"""`scripts/keep_training.sh` keeps what a training needs to go on, and takes it back."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "keep_training.sh"
RECORDS = ("config.json", "environment.json", "events.jsonl", "uncommitted-1a.patch")


def call(*words: object, cwd: Path) -> None:
    subprocess.run(["bash", SCRIPT, *map(str, words)], cwd=cwd, check=True, capture_output=True)


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_keeps_records_and_the_newest_state_or_the_weights(tmp_path: Path) -> None:
    states = [f"checkpoints/state-{step:08}{end}" for step in (9, 10) for end in (".pt", ".sha256")]
    scored = ("evaluations/e/scores.parquet", "evaluations/e/evaluation.json")
    write(tmp_path / "runs/going", *RECORDS, *states)
    write(tmp_path / "runs/done", *RECORDS, *states, *scored, "model.safetensors")
    write(tmp_path / "runs/done", "evaluations/e/audio/m/mixture.flac", "output.log", "lock")
    write(tmp_path / "runs/fresh", *RECORDS)
    write(tmp_path / "runs/plans", "a.cpu.json")
    kept = tmp_path / "kept"
    write(kept / "going", "of-an-earlier-copy")
    for place in ("kept", kept):  # relative and absolute
        call("keep", "runs", place, cwd=tmp_path)
    assert files(kept / "going") == {*RECORDS, *states[2:]}
    assert files(kept / "done") == {*RECORDS, *scored, "model.safetensors"}
    assert files(kept / "fresh") == {*RECORDS}
    assert {path.name for path in kept.iterdir()} == {"going", "done", "fresh"}


def test_it_takes_back_only_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "kept/a", "config.json")
    write(tmp_path / "kept/b", "config.json")
    write(tmp_path / "runs/b", "mine")
    call("take", "kept", "runs", cwd=tmp_path)
    assert files(tmp_path / "runs") == {"a/config.json", "b/mine"}
