"""A study as an executed notebook: table, figures and claims from the frames, a few lines each.

Executing it anew gives the same file: no times, no versions, no paths but the one to the runs.
"""

import os
from pathlib import Path
from typing import Any

TIMEOUT_S = 300

_CELLS: tuple[tuple[str, str], ...] = (
    (
        "markdown",
        "# {study}: {title}\n\n{claim}\n\nEvery cell stands alone on the frames; change one and "
        "run it again. Made by `tisdiss report {study} --profile {profile} --notebook`.",
    ),
    (
        "code",
        "from pathlib import Path\n\n"
        "from IPython.display import Image, Markdown\n\n"
        "from analysis.claims import to_frame\n"
        "from analysis.figures import depth_figure, render\n"
        "from analysis.report import tables_of\n"
        "from analysis.results import results_of\n"
        "from analysis.tables import to_markdown\n\n"
        "results = results_of({study!r}, {profile!r}, Path({runs!r}))\n"
        'results.frames.runs[["row", "seed", "status", "steps", "params"]]',
    ),
    ("markdown", "## Scores\n\nOne line per mixture, depth and speaker, in dB."),
    ("code", "results.frames.scores.describe().round(3)"),
    ("markdown", "## Means with their intervals\n\nSee `analysis/stats.py` for the bootstrap."),
    (
        "code",
        "means = results.curve.assign(interval=results.curve.high - results.curve.low)\n"
        'means.pivot(index="row", columns="n_re", values=["mean", "interval"]).round(2).T',
    ),
    ("markdown", "## Table"),
    ("code", "Markdown(to_markdown(tables_of(results)[0]))"),
    ("markdown", "## Figure"),
    (
        "code",
        "figure = depth_figure(results.curve, results.plan, metric=results.metrics[0])\n"
        'Image(render(figure)["png"], width=600)',
    ),
    ("markdown", "## Claims\n\nHow far each is above 0, in dB, with the 95 % interval."),
    (
        "code",
        'columns = ["id", "status", "expr", "difference", "low", "high", "reason"]\n'
        "to_frame(results.verdicts).reindex(columns=columns).round(3)",
    ),
)


def notebook_file(plan: dict[str, Any], runs_dir: Path, folder: Path) -> str:
    """The executed notebook of a planned study, as it will lie in `folder`.

    It needs nbformat, nbclient and ipykernel; an error in a cell is raised, never stored.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.from_dict(source(plan, os.path.relpath(runs_dir, folder)))
    folder.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return nbformat.writes(_stable(notebook)) + "\n"


def source(plan: dict[str, Any], runs: str) -> dict[str, Any]:
    """The notebook before it is executed, in the format of nbformat 4.5."""
    known = {
        "study": plan["study"],
        "profile": plan["profile"],
        "title": plan["title"],
        "claim": plan.get("claim", ""),
        "runs": Path(runs).as_posix(),
    }
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {
                "id": f"{plan['study']}-{at}",
                "cell_type": kind,
                "metadata": {},
                "source": text.format(**known),
                **({"outputs": [], "execution_count": None} if kind == "code" else {}),
            }
            for at, (kind, text) in enumerate(_CELLS)
        ],
    }


def _stable(notebook: Any) -> Any:
    """Without what differs from one execution to the next: warnings' paths, versions."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.output_type != "stream"]
    return notebook
