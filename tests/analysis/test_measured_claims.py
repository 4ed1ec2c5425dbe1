"""Claims about time and memory, decided by what `tisdiss time` measured."""

import json

from tisdiss.analysis.claims import decide
from tisdiss.analysis.claims_text import headline
from tisdiss.analysis.frames import load_study
from tisdiss.analysis.verdict import numbers_of


def decided(folder, *exprs):
    folder.plan["claims"] = [
        {"id": f"c{i}", "expr": expr, "source": "Sec. 3.5"} for i, expr in enumerate(exprs)
    ]
    return decide(load_study(folder.save().runs_dir, "fig2e", "mini"))


def _timed(folder, **rows):
    """What `tisdiss time` measures: (factor at N_re = 3, bytes) of each row."""
    runs = {row["id"]: row["runs"][0]["identity"] for row in folder.plan["rows"]}
    document = {
        "rounds": 3,
        "seconds": 2.0,
        "environment": {"threads": 1, "torch": "2", "cpu": "a CPU", "accelerator": None},
        "rows": {
            row: {"identity": runs[row], "rtf": {"3": factor}, "memory": memory}
            for row, (factor, memory) in rows.items()
        },
    }
    path = folder.runs_dir / "timings" / "fig2e.mini.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def test_time_and_memory_are_compared_as_they_were_measured(study_folder):
    folder = study_folder().row("a", {1: 1.0, 3: 3.0}).row("b", {1: 1.0, 3: 3.0})
    exprs = "rtf(row('a'), n_re=3) < rtf(row('b'), n_re=3)", "memory(row('a')) < memory(row('b'))"
    for verdict in decided(folder, *exprs):
        assert verdict.status == "MISSING"
        assert verdict.reason.endswith(
            "not measured; run `tisdiss time fig2e --profile mini` first"
        )
    _timed(folder, a=(0.25, 12_000_000), b=(0.5, 9_000_000))
    faster, smaller = decided(folder, *exprs)
    assert (faster.status, numbers_of(faster)) == ("PASS", "+0.250 s per s of sound")
    assert (smaller.status, numbers_of(smaller)) == ("FAIL", "-3.00 MB")
    assert {faster.kind, smaller.kind} == {"measured"}
    assert faster.says == '"a" has a lower processing time than "b" at N_re = 3.'
    assert headline([faster, smaller]) == ""
