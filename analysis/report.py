"""Writes the report of a study: a folder of figures, tables, scores and provenance."""

import io
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tisdiss.analysis.adaptive_figure import adaptive_figure
from tisdiss.analysis.canvas import FORMATS, render, unshown
from tisdiss.analysis.captions import (
    basis,
    covered,
    escape_markdown,
    fill,
    prose_markdown,
    timed_how,
)
from tisdiss.analysis.claims_text import counts, meaning
from tisdiss.analysis.claims_text import to_markdown as claims_markdown
from tisdiss.analysis.comparison import comparison_table
from tisdiss.analysis.depth_gain_figure import depth_gain_figure, reported_gains
from tisdiss.analysis.extra_figures import change_figure, cost_figure, difficulty_figure
from tisdiss.analysis.figure2 import fig2
from tisdiss.analysis.figures import depth_figure
from tisdiss.analysis.index import as_written_now, write_index
from tisdiss.analysis.inventory import LIST, write_own
from tisdiss.analysis.numbers import numbers_tex
from tisdiss.analysis.pareto import pareto_figure
from tisdiss.analysis.places import PANELS, PAPER, check_panels
from tisdiss.analysis.provenance import provenance
from tisdiss.analysis.recipe import kept_epochs, recipe
from tisdiss.analysis.results import Results, results_in, results_of, unscored
from tisdiss.analysis.spread_figure import spread_figure
from tisdiss.analysis.tables import Table, depth_table, to_csv, to_markdown, to_tex
from tisdiss.analysis.tex_check import check_tex
from tisdiss.records.files import DamagedError
from tisdiss.records.names import PROVENANCE, REPORTED, SCORES, reached, score_label

FURTHER = {
    "-cost": "Quality against cost",
    "-pareto": "Rows that no other beats on quality and cost",
    "-difficulty": "Hard and easy mixtures",
    "-change": "What each further pass changes",
    "-adaptive": "Depths that adapt to each mixture",
    "-spread": "All mixtures",
}
"""Further figures: suffixes of their file names, and their headings on the page."""

WRITING_SECONDS = 60.0
"""Longest time in which all files of a report are written."""

Say = Callable[[str], None]
"""Called with the current step, in a few words."""


def silent(step: str) -> None:
    """Report no steps."""


def report(
    study: str,
    profile: str,
    runs_dir: Path,
    out_dir: Path,
    *,
    notebook: bool = False,
    force: bool = False,
    say: Say = silent,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Path]:
    """Write `out_dir/<study>/` from the run folders and return the files, figure first.

    The same runs give the same bytes. Rows are shown with their finished runs, and marked if runs
    are missing. `notebook` adds an executed notebook (some seconds). Files of an earlier report
    that this one does not write are deleted; files of the user are never changed (see
    `inventory.write_own`). `warn` is called with a message for every file that cannot be read.
    ValueError says what to run if no run is scored.
    """
    folder = Path(out_dir) / study
    say(f"{study}: scores")
    results = results_of(study, profile, runs_dir)
    for problem in results.frames.problems:
        warn(problem)
    written = write_study(results, folder, notebook=notebook, force=force, say=say)
    return [*written, write_index(out_dir)]


def again(
    folder: Path,
    out: Path | None = None,
    *,
    notebook: bool = False,
    force: bool = False,
    say: Say = silent,
) -> list[Path]:
    """Make a report anew from its own frames, without run folders, in place or in `out`.

    Claims and texts are those of the current study file (`as_written_now`).
    """
    say(f"{Path(folder).name}: scores")
    frames = results_in(folder).frames
    results = Results(replace(frames, plan=as_written_now(frames.plan)))
    return write_study(results, out or folder, notebook=notebook, force=force, say=say)


def write_study(
    results: Results,
    folder: Path,
    *,
    notebook: bool = False,
    force: bool = False,
    say: Say = silent,
) -> list[Path]:
    """Write the report of a study's results."""
    study = results.plan.study
    files = study_files(results, say=say)
    if notebook:
        from tisdiss.analysis.notebook import notebook_file  # Jupyter is slow to load

        say(f"{study}: notebook")
        files[f"{study}.ipynb"] = notebook_file(results.plan, files)
    names = names_of(study)
    assert files.keys() <= names, files.keys() - names
    adopts = _of_earlier(Path(folder), names)
    return write_own(folder, files, clears=names, adopts=adopts, force=force)


def names_of(study: str) -> set[str]:
    """Every name that a file of a study's report can have."""
    endings = ("", *(f"-{metric}" for metric in reached()), *FURTHER)
    figures = {f"{study}{ending}.{form}" for ending in endings for form in FORMATS}
    tables = {f"{name}.{form}" for name in ("table", "depth") for form in ("tex", "md", "csv")}
    return figures | tables | {"numbers.tex", "README.md", f"{study}.ipynb", SCORES, PROVENANCE}


def _of_earlier(folder: Path, names: set[str]) -> list[str]:
    """The unchanged files of a report by an earlier version, which kept no list of its files."""
    path = folder / PROVENANCE
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    if not isinstance(content, dict) or "cells" not in content or "files" in content:
        return []
    end = path.stat().st_mtime + WRITING_SECONDS
    files = [name for name in sorted(names) if (folder / name).is_file()]
    return [name for name in files if (folder / name).stat().st_mtime < end]


def compose(
    reports: Path,
    out_dir: Path | None = None,
    *,
    force: bool = False,
    say: Say = silent,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Path]:
    """Write `fig2/` from the reports of its panels, a figure per score; and what depth gains.

    `warn` is called with a message for a report that cannot be read; its panel is left out.
    """
    check_panels(reports)
    panels, epochs = {}, {}
    for study in PANELS:
        if os.path.lexists(Path(reports) / study / PROVENANCE):
            say(f"fig2: {study}")
            try:
                results = results_in(Path(reports) / study)
            except DamagedError as error:
                warn(str(error))
                continue
            panels[study] = results.curves, results.plan
            epochs[study] = kept_epochs(results.frames)
    if not panels:
        raise DamagedError(f"{reports} holds no panel of Fig. 2 that can be read")
    files: dict[str, bytes | str] = {}
    for metric in REPORTED:
        suffix = "" if metric == REPORTED[0] else f"-{metric}"
        curves = {study: (of[metric], plan) for study, (of, plan) in panels.items()}
        for form, data in render(fig2(curves, epochs, metric=metric)).items():
            files[f"fig2{suffix}.{form}"] = data
    say("fig2: gain over depth, all reports")
    if (figure := depth_gain_figure(reported_gains(reports))) is not None:
        files |= {f"depth-gain.{form}": data for form, data in render(figure).items()}
    return write_own(Path(out_dir or reports) / "fig2", files, force=force)


def study_files(results: Results, *, say: Say = silent) -> dict[str, bytes | str]:
    """Every file of a study's folder by name, without its notebook."""
    study = results.plan.study
    files: dict[str, bytes | str] = {}
    say(f"{study}: figures")
    if lacking := unshown(results.plan):
        say(f"{study}: no font has {lacking}, so figures show ids; install one, such as Noto")
    for suffix, figure in figures_of(results).items():
        for form, data in render(figure).items():
            files[f"{study}{suffix}.{form}"] = data
    say(f"{study}: tables and claims")
    table, *others = tables_of(results)
    for name, one in [("table", table), *(("depth", other) for other in others)]:
        files |= {f"{name}.tex": checked_tex(one), f"{name}.md": to_markdown(one)}
    files["table.csv"] = to_csv(list(results.curves.values()), results.plan)
    files["numbers.tex"] = numbers_tex(results)
    files["README.md"] = _readme(results, table, list(files))
    return files | frame_files(results)


def frame_files(results: Results) -> dict[str, bytes | str]:
    """The files that `results_in` reads again."""
    return {
        SCORES: _parquet(results.frames.scores),
        PROVENANCE: json.dumps(provenance(results).plain() | {"files": LIST}, indent=1) + "\n",
    }


def tables_of(results: Results) -> list[Table]:
    """The study's tables: scores over depth, after the comparison of systems if there is one."""
    depths = depth_table(results.curve, results.plan, metric=results.metrics[0])
    if not results.plan.is_comparison:
        return [depths]
    depths = replace(depths, name=f"{depths.name}-depth")
    compared = comparison_table(results.curves, results.plan)
    return [compared, depths] if results.has_depths else [compared]


def figures_of(results: Results) -> dict[str, Figure]:
    """Every figure that can be drawn from the scores, by suffix of its file name."""
    plan, lead = results.plan, results.metrics[0]
    curves = {
        "" if metric == lead else f"-{metric}": depth_figure(
            curve, plan, results.differences[metric], against=results.against, metric=metric
        )
        for metric, curve in results.curves.items()
    }
    further = (
        cost_figure(results.curve, plan, metric=lead),
        pareto_figure(results.curve, plan, metric=lead) if plan.show.pareto else None,
        difficulty_figure(*results.difficulty, plan, metric=lead),
        change_figure(results.change, plan, results.curve),
        adaptive_figure(results.adaptive, plan, results.curve, metric=lead),
        spread_figure(results.spread, plan, results.curve, metric=lead),
    )
    pairs = zip(FURTHER, further, strict=True)
    return curves | {suffix: figure for suffix, figure in pairs if figure is not None}


def checked_tex(table: Table) -> str:
    """The table as LaTeX, checked by `check_tex`."""
    tex = to_tex(table)
    assert not check_tex(tex), check_tex(tex)
    return tex


def _readme(results: Results, table: Table, figures: list[str]) -> str:
    curve, metrics, plan = results.curve, results.metrics, results.plan
    return fill(
        "README.md",
        {"md": escape_markdown, "prose": prose_markdown},
        plan=plan,
        basis=basis(plan, curve),
        table=to_markdown(table),
        label=score_label(metrics[0]),
        labels={name: score_label(name) for name in reached()},
        others=metrics[1:],
        has_interval=curve["low"].notna().any(),
        covered=covered(curve),
        incomplete=unscored(results.frames),
        claims=claims_markdown(results.verdicts) if results.verdicts else "",
        counts=counts(results.verdicts),
        meaning=meaning(results.verdicts, plan.profile),
        from_paper=plan.study in PAPER,
        figures=figures,
        timed=timed_how(plan.timing) if plan.timing else "",
        recipe=recipe(results.frames),
    )


def _parquet(scores: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    scores.to_parquet(buffer, index=False)
    return buffer.getvalue()
