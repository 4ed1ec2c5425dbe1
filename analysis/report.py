"""Studies as folders of figures, tables, scores and provenance."""

import io
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.captions import METRIC_LABELS, basis, escape_markdown, fill, resampled, timed_how
from analysis.claims import counts, meaning, reserve
from analysis.claims import to_markdown as claims_markdown
from analysis.comparison import comparison_table
from analysis.composed import PANELS, fig2
from analysis.figures import depth_figure, render
from analysis.frames import PROVENANCE, SCORES, is_comparison
from analysis.index import write_index
from analysis.insight import change_figure, cost_figure, difficulty_figure
from analysis.latex import check_tex
from analysis.numbers import numbers_tex
from analysis.provenance import provenance
from analysis.results import Results, results_in, results_of, unscored
from analysis.stats import DRAWS
from analysis.tables import Table, depth_table, to_csv, to_markdown, to_tex
from tisdiss.files import DamagedError, write_atomic

MADE = (".pdf", ".png", ".svg", ".tex", ".md", ".csv", ".ipynb", ".parquet", ".json")
"""What a report consists of, by suffix."""


def report(
    study: str,
    profile: str,
    runs_dir: Path,
    out_dir: Path,
    *,
    notebook: bool = False,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Path]:
    """Write `out_dir/<study>/` from the run folders and return the files, figure first.

    The same runs give the same bytes. Rows are shown with the runs they have, and marked where they
    miss some; a ValueError says what to run when no run is scored. `warn` hears of every file that
    cannot be read. `notebook` adds an executed notebook (some seconds). What an earlier report left
    there and this one does not make is deleted.
    """
    results = results_of(study, profile, runs_dir)
    for problem in results.frames.problems:
        warn(problem)
    written = write_study(results, out_dir, notebook=notebook)
    return [*written, write_index(out_dir)]


def again(folder: Path, *, notebook: bool = False) -> list[Path]:
    """Make a report anew from the frames it holds, without run folders: for a new look."""
    return write_study(results_in(folder), Path(folder).parent, notebook=notebook)


def write_study(results: Results, out_dir: Path, *, notebook: bool = False) -> list[Path]:
    """Write the folder of a study's results."""
    folder = Path(out_dir) / results.plan["study"]
    files = study_files(results)
    if notebook:
        from analysis.notebook import notebook_file  # Jupyter is slow to load

        files[f"{results.plan['study']}.ipynb"] = notebook_file(results.plan, files)
    written = _write(folder, files)
    for path in folder.iterdir():
        if path not in written and path.suffix in MADE:
            path.unlink()
    return written


def compose(reports: Path, *, warn: Callable[[str], object] = warnings.warn) -> list[Path]:
    """Write `reports/fig2/`: the panels of which there is a report, as one figure a score.

    `warn` hears of a report that cannot be read; its panel stays empty.
    """
    panels = {}
    for study in PANELS:
        if os.path.lexists(Path(reports) / study / PROVENANCE):
            try:
                panels[study] = results_in(Path(reports) / study)
            except DamagedError as error:
                warn(str(error))
    if not panels:
        raise ValueError(
            f"{reports} holds no panel of Fig. 2: `tisdiss report fig2a` writes one, from its runs"
        )
    files: dict[str, bytes | str] = {}
    for metric, suffix in (("si_snri", ""), ("sdri", "-sdri")):
        curves = {name: (found.curves[metric], found.plan) for name, found in panels.items()}
        for form, data in render(fig2(curves, metric=metric)).items():
            files[f"fig2{suffix}.{form}"] = data
    return _write(Path(reports) / "fig2", files)


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
    files["table.csv"] = to_csv(list(results.curves.values()), results.plan)
    files["numbers.tex"] = numbers_tex(results)
    files["README.md"] = _readme(results, table, list(files))
    return files | frame_files(results)


def frame_files(results: Results) -> dict[str, bytes | str]:
    """The files that `results_in` reads again."""
    return {
        SCORES: _parquet(results.frames.scores),
        PROVENANCE: json.dumps(provenance(results), indent=1) + "\n",
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
        meaning=" ".join(filter(None, [meaning(plan["profile"]), reserve(results.verdicts)])),
        figures=figures,
        timed=timed_how(plan) if "timing" in plan else "",
    )


def _parquet(scores: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    scores.to_parquet(buffer, index=False)
    return buffer.getvalue()
