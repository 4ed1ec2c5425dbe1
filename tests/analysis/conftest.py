"""Run folders with known numbers, made by hand in a temporary folder."""

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tisdiss.analysis.report import frame_files
from tisdiss.analysis.results import results_of
from tisdiss.records.files import write_atomic
from tisdiss.records.plan_record import StudyFile


def digest(*words: object) -> str:
    """A stand-in for an identity: 64 hex digits."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def fabricate_scores(
    depths: dict[int, float], *, speakers: int = 8, mixtures: int = 40, run: str = ""
) -> pd.DataFrame:
    """Scores whose mean at each depth is exactly the given one; voices, mixtures, runs differ."""
    rng = np.random.default_rng(7)
    voices = rng.normal(0, 1.0, speakers)
    pairs = list(combinations(range(speakers), 2))
    cast = [pairs[i % len(pairs)] for i in range(mixtures)]
    offset = np.array([[voices[a] + voices[b]] * 2 for a, b in cast])
    offset = offset + rng.normal(0, 0.5, offset.shape)
    own = np.random.default_rng(int(digest(run)[:8], 16))
    offset += own.normal(0, 0.3, speakers)[np.array(cast)] + own.normal(0, 0.2, offset.shape)
    offset -= offset.mean()
    records = [
        {
            "mixture_id": f"m{i:04d}",
            "slot": slot,
            "speaker": f"voice{pair[slot]:02d}",
            "sex": "fm"[pair[slot] % 2],
            "n_sep": 2,
            "n_re": n_re,
            "samples": 8000,
            "si_snr": value + offset[i, slot],
            "si_snri": value + offset[i, slot],
            "sdr": value + offset[i, slot] + 0.5,
            "sdri": value + offset[i, slot] + 0.4,
            "mixture_si_snr": (1 - 2 * slot) * (i % 11 - 5) / 2,
            "mixture_sdr": 0.1,
        }
        for n_re, value in depths.items()
        for i, pair in enumerate(cast)
        for slot in (0, 1)
    ]
    return pd.DataFrame(records)


class StudyFolder:
    """A runs directory with one planned study, written as the harness writes it."""

    def __init__(self, runs_dir: Path, study: str, profile: str) -> None:
        self.runs_dir = runs_dir
        self.plan: dict[str, Any] = {
            "schema": 1,
            "study": study,
            "title": "Does deeper training scale further?",
            "claim": "fine-tuning at re1x6 lifts large depths (Sec. 3.4)",
            "profile": profile,
            "corpus": {
                "source": "prompts",
                "data_source": "prompts",
                "manifest": digest("corpus"),
                "speakers_test": 8,
                "note": "unheard recordings of heard voices",
            },
            "evaluate": {"n_re": [], "split": "test"},
            "show": {"figure": "depth_curve", "x": "n_re", "y": "si_snri"},
            "rows": [],
            "study_hash": digest("study"),
        }

    def row(
        self,
        row: str,
        depths: dict[int, float],
        *,
        seeds: Sequence[int] = (0,),
        n_re_train: int = 3,
        status: str = "done",
        label: str | None = None,
        paper: dict[str, float] | None = None,
        params: int | None = 310_000,
        test_manifest: str = digest("test"),
        absent: Sequence[int] = (),
        corpus: str = "",
        **size: int,
    ) -> "StudyFolder":
        """Add a row with all its runs; the seeds in `absent` are planned but not on disk."""
        runs = []
        for seed in seeds:
            identity, evaluation = digest(row, seed), digest(row, seed, "evaluation")
            runs.append({"seed": seed, "identity": identity, "evaluation": evaluation})
            if seed not in absent:
                scores = fabricate_scores(depths, run=f"{row}/{seed}", **size)
                self._write_run(identity, evaluation, status, test_manifest, scores)
        self.plan["evaluate"]["n_re"] = sorted({*self.plan["evaluate"]["n_re"], *depths})
        self.plan["rows"].append(
            {
                "id": row,
                "label": label or row,
                "name": "sep1x2-re1x3-l1+3",
                "kind": "train",
                "corpus": corpus,
                "n_re_train": n_re_train,
                "n_sep_train": 2,
                "params": params,
                "paper": paper,
                "runs": runs,
            }
        )
        return self.save()

    def save(self) -> "StudyFolder":
        """Write the plan."""
        name = f"{self.plan['study']}.{self.plan['profile']}.json"
        _write_json(self.runs_dir / "plans" / name, self.plan)
        return self

    @property
    def study(self) -> StudyFile:
        """The plan as analysis reads it."""
        return StudyFile.model_validate(self.plan)

    def folder(self, row: str, seed: int = 0) -> Path:
        """Where a run lies."""
        return self.runs_dir / digest(row, seed)[:10]

    def _write_run(
        self, identity: str, evaluation: str, status: str, test_manifest: str, scores: pd.DataFrame
    ) -> None:
        folder = self.runs_dir / identity[:10]
        git = {"commit": "c0ffee", "dirty": False}
        result = {"status": status, "reason": None, "steps": 100, "epochs": 2, "seconds": 60.0}
        _write_json(folder / "config.json", {"schema": 1, "identity": identity})
        _write_json(
            folder / "environment.json", {"git": git, "code_hash": digest("code"), "code_scope": 2}
        )
        _write_json(folder / "result.json", result)
        if status in ("done", "imported"):
            place = folder / "evaluations" / evaluation[:10]
            description = {
                "identity": evaluation,
                "train_identity": identity,
                "config": {"n_re": sorted(int(n) for n in scores["n_re"].unique())},
                "test_manifest": test_manifest,
                "corpus": "prompts",
                "mixtures": scores["mixture_id"].nunique(),
            }
            _write_json(place / "evaluation.json", description)
            scores.to_parquet(place / "scores.parquet", index=False)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StudyFolder]:
    """Make a new runs directory: `study_folder().row("a", {1: 5.0})`."""

    def make(study: str = "fig2e", profile: str = "mini") -> StudyFolder:
        return StudyFolder(tmp_path_factory.mktemp("runs"), study, profile)

    return make


@pytest.fixture(scope="session")
def keep_frames() -> Callable[[StudyFolder, Path], Path]:
    """Write the frames of a report to a folder of reports, without tables and figures."""

    def keep(made: StudyFolder, reports: Path) -> Path:
        results = results_of(made.plan["study"], made.plan["profile"], made.runs_dir)
        for name, data in frame_files(results).items():
            write_atomic(reports / made.plan["study"] / name, data)
        return reports

    return keep


@pytest.fixture
def scores() -> Callable[..., pd.DataFrame]:
    """Make score frames without a disk: `scores(a={1: 5.0}, b={1: 4.0})`."""

    def make(n_seeds: int = 1, **rows: dict[int, float]) -> pd.DataFrame:
        parts = [
            fabricate_scores(depths, run=f"{row}/{seed}").assign(
                row=row, label=row, seed=seed, identity=digest(row, seed), n_re_train=3
            )
            for row, depths in rows.items()
            for seed in range(n_seeds)
        ]
        return pd.concat(parts, ignore_index=True)

    return make
