"""Studies as folders of figures, tables, scores and provenance."""

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.captions import METRIC_LABELS, basis, escape_markdown, fill, resampled
from analysis.claims import counts, meaning
from analysis.claims import to_markdown as claims_markdown
from analysis.comparison import comparison_table, is_comparison
from analysis.composed import PANELS, fig2
from analysis.figures import depth_figure, render
from analysis.insight import change_figure, cost_figure, difficulty_figure
from analysis.latex import check_tex
from analysis.numbers import numbers_tex
from analysis.provenance import provenance
from analysis.results import Results, results_of, unscored
from analysis.stats import DRAWS
from analysis.tables import Table, depth_table, to_csv, to_markdown, to_tex
from tisdiss.files import write_atomic


def report(
    study: str, profile: str, runs_dir: Path, out_dir: Path, *, notebook: bool = False
) -> list[Path]:
    """Write `out_dir/<study>/` from the run folders and return the files, figure first.

    The same runs give the same bytes. Rows that miss runs are shown as missing; a ValueError says
    what to run when no row is complete. `notebook` adds an executed notebook (some seconds).
    """
    results = results_of(study, profile, runs_dir)
    files = study_files(results)
    if notebook:
        from analysis.notebook import notebook_file  # Jupyter is slow to load

        files[f"{study}.ipynb"] = notebook_file(results.plan, Path(runs_dir), Path(out_dir) / study)
    return _write(Path(out_dir) / study, files)


def compose(
    profile: str, runs_dir: Path, out_dir: Path, studies: Iterable[str] = PANELS
) -> list[Path]:
    """Write `out_dir/fig2/`: the panels that were run at a profile, as one figure a score."""
    panels = {}
    for study in studies:
        try:
            panels[study] = results_of(study, profile, runs_dir)
        except ValueError:
            continue  # the panel says that it was not run
    if not panels:
        raise ValueError(f"no panel of Fig. 2 was run: `tisdiss run fig2a --profile {profile}`")
    files: dict[str, bytes | str] = {}
    for metric, suffix in (("si_snri", ""), ("sdri", "-sdri")):
        curves = {name: (found.curves[metric], found.plan) for name, found in panels.items()}
        for form, data in render(fig2(curves, metric=metric)).items():
            files[f"fig2{suffix}.{form}"] = data
    return _write(Path(out_dir) / "fig2", files)


def study_files(results: Results) -> dict[str, bytes | str]:
    """Every file of a study's folder by name, without its notebook."""
    study = results.plan["study"]
    files: dict[str, bytes | str] = {}
    for suffix, figure in figures_of(results).items():
        for form, data in render(figure).items():
            files[f"{study}{suffix}.{form}"] = data
    table, *others = tables_of(results)
    for name, made in [("table", table), *(("depth", other) for other in others)]:
        files |= {f"{name}.tex": checked_tex(made), f"{name}.md": to_markdown(made)}
    return files | {
        "table.csv": to_csv(list(results.curves.values()), results.plan),
        "numbers.tex": numbers_tex(results),
        "scores.parquet": _parquet(results.frames.scores),
        "provenance.json": json.dumps(provenance(results), indent=1) + "\n",
        "README.md": _readme(results, table, list(files)),
    }


def tables_of(results: Results) -> list[Table]:
    """The study's table; one that compares systems is followed by their scores over depth."""
    depths = depth_table(results.curve, results.plan, metric=results.metrics[0])
    if not is_comparison(results.plan):
        return [depths]
    depths = replace(depths, name=f"{depths.name}-depth")
    compared = comparison_table(results.curves, results.plan)
    return [compared, depths] if results.has_depths else [compared]


def figures_of(results: Results) -> dict[str, Figure]:
    """Every figure that the scores allow, by what follows the study in its file's name."""
    plan, lead = results.plan, results.metrics[0]
    made = {
        "" if metric == lead else f"-{metric}": depth_figure(curve, plan, metric=metric)
        for metric, curve in results.curves.items()
    }
    further = {
        "-cost": cost_figure(results.curve, plan, metric=lead),
        "-difficulty": difficulty_figure(*results.difficulty, plan, metric=lead),
        "-change": change_figure(results.change, plan, results.curve),
    }
    return made | {suffix: figure for suffix, figure in further.items() if figure is not None}


def checked_tex(table: Table) -> str:
    """The table as LaTeX that compiles."""
    tex = to_tex(table)
    assert not check_tex(tex), check_tex(tex)
    return tex


def _write(folder: Path, files: dict[str, bytes | str]) -> list[Path]:
    for name, data in files.items():
        write_atomic(folder / name, data)
    return [folder / name for name in files]


def _readme(results: Results, table: Table, figures: list[str]) -> str:
    curve, metrics, plan = results.curve, results.metrics, results.plan
    return fill(
        "README.md",
        {"md": escape_markdown},
        plan=plan,
        basis=basis(plan, curve),
        table=to_markdown(table),
        label=METRIC_LABELS[metrics[0]],
        labels=METRIC_LABELS,
        others=metrics[1:],
        has_interval=curve["low"].notna().any(),
        resampled=resampled(curve),
        draws=DRAWS,
        incomplete=unscored(results.frames),
        claims=claims_markdown(results.verdicts) if results.verdicts else "",
        counts=counts(results.verdicts),
        meaning=meaning(plan["profile"]),
        figures=figures,
    )


def _parquet(scores: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    scores.to_parquet(buffer, index=False)
    return buffer.getvalue()
