"""Scores of quality in claims, tables, figures and provenance."""

import pandas as pd
import pytest

from tisdiss.analysis.claims import decide
from tisdiss.analysis.provenance import why, why_text
from tisdiss.analysis.report import figures_of, tables_of, write_study
from tisdiss.analysis.results import results_of


@pytest.fixture
def folder(study_folder):
    made = study_folder().row("a", {3: 9.0}).row("b", {3: 8.5})
    made.plan["claims"] = [
        {"id": "heard", "expr": "row('a').pesq - row('b').pesq > 0.1", "source": "ours"}
    ]
    return made.save()


def add_pesq(folder, **values: float) -> None:
    """Each row's PESQ: a mean, with the variation of its SI-SNRi."""
    for row, value in values.items():
        path = next(folder.folder(row).glob("evaluations/*/scores.parquet"))
        scores = pd.read_parquet(path)
        pesq = value + 0.01 * (scores["si_snri"] - scores["si_snri"].mean())
        scores.assign(pesq=pesq, pesqi=pesq - 1, mixture_pesq=1.0).to_parquet(path)


def test_a_claim_about_it_is_decided_in_its_unit(folder) -> None:
    add_pesq(folder, a=2.5, b=2.0)
    (verdict,) = decide(results_of("fig2e", "mini", folder.runs_dir).frames)
    assert (verdict.status, verdict.unit) == ("ONE TRAINING", "MOS")
    assert verdict.difference == pytest.approx(0.4, abs=1e-6)
    assert "PESQ (absolute)" in verdict.says and "0.1 MOS" in verdict.says


def test_a_claim_about_scores_that_no_run_has_says_how_to_get_them(folder) -> None:
    (verdict,) = decide(results_of("fig2e", "mini", folder.runs_dir).frames)
    assert verdict.status == "MISSING"
    assert verdict.reason.startswith(
        "no run has PESQ (absolute): add pesq to the study's `evaluate:`"
    )


def test_a_report_shows_it_beside_the_others(folder, tmp_path) -> None:
    add_pesq(folder, a=2.5, b=2.0)
    results = results_of("fig2e", "mini", folder.runs_dir)
    assert results.metrics == ["si_snri", "sdri", "pesq"]
    axes = figures_of(results)["-pesq"].axes
    assert axes[0].get_ylabel() == "PESQ (absolute) [MOS]"
    assert axes[1].get_ylabel() == "difference [MOS]"
    written = {path.name for path in write_study(results, tmp_path / "fig2e")}
    assert "fig2e-pesq.png" in written
    said = why_text(why("fig2e:a:pesq", reports=tmp_path))
    assert "fig2e:a:pesq.re3 = 2.50" in said and "MOS PESQ (absolute)" in said
    folder.plan["show"]["y"] = "pesq"
    led = results_of("fig2e", "mini", folder.save().runs_dir)
    assert tables_of(led)[0].corner == "PESQ (absolute) [MOS]"
