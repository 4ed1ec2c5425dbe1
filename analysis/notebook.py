"""A study as an executed notebook: its table, figures and claims.

The notebook reads the frames in the report's folder, so it needs no run folders. Executing it again
gives the same file, without times, versions or paths.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tisdiss.records.files import JsonObject, write_atomic
from tisdiss.records.names import PROVENANCE, SCORES
from tisdiss.records.plan_record import StudyFile

TIMEOUT_S = 300

_CELLS: tuple[tuple[str, str], ...] = (
    (
        "markdown",
        "# {study}: {title}\n\n{claim}\n\nThis notebook reads `provenance.json` and "
        "`scores.parquet` in this folder; it needs no run folder. Change a cell and run it again.",
    ),
    (
        "code",
        "from pathlib import Path\n\n"
        "from IPython.display import Image, Markdown, display\n\n"
        "from tisdiss.analysis.canvas import render\n"
        "from tisdiss.analysis.claims_text import to_markdown as claims_table\n"
        "from tisdiss.analysis.report import figures_of, tables_of\n"
        "from tisdiss.analysis.results import results_in\n"
        "from tisdiss.analysis.tables import to_markdown\n\n"
        "results = results_in(Path())\n"
        'results.frames.runs[["row", "name", "seed", "status", "steps", "params"]]',
    ),
    ("markdown", "## Scores\n\nOne line per mixture, depth and speaker, in dB."),
    ("code", "results.frames.scores.describe().round(3)"),
    ("markdown", "## Means with their intervals\n\nSee `analysis/stats.py` and `mixed_model.py`."),
    (
        "code",
        "means = results.curve.assign(interval=results.curve.high - results.curve.low)\n"
        'means.pivot(index="row", columns="n_re", values=["mean", "interval"]).round(2).T',
    ),
    ("markdown", "## Table"),
    ("code", "Markdown(to_markdown(tables_of(results)[0]))"),
    ("markdown", "## Figures\n\nThe name of a figure is the suffix of its file name."),
    (
        "code",
        'figures = figures_of(results)\nImage(render(figures[""], ["png"])["png"], width=600)',
    ),
    (
        "code",
        "for name in figures:\n"
        "    if name:\n"
        '        display(Markdown(name), Image(render(figures[name], ["png"])["png"], width=600))',
    ),
    (
        "markdown",
        "## Claims\n\nThe margin is the value that must be above 0, with its 95 % interval.",
    ),
    ("code", "Markdown(claims_table(results.verdicts))"),
)


def notebook_file(plan: StudyFile, files: Mapping[str, bytes | str]) -> str:
    """The executed notebook of a study; `files` are those of its report, by name.

    Needs nbformat, nbclient and ipykernel. Raises the error of a cell.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = nbformat.from_dict(source(plan))
    with tempfile.TemporaryDirectory() as folder:
        for name in (PROVENANCE, SCORES):
            write_atomic(Path(folder) / name, files[name])
        kernel = AsyncKernelManager(transport="ipc", ip=f"{folder}/kernel")  # listens on no port
        client = NotebookClient(
            notebook,
            km=kernel,
            timeout=TIMEOUT_S,
            record_timing=False,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
        )
        client.execute(cleanup_kc=True)  # nbclient leaves the sockets of our own manager open
    return nbformat.writes(_stable(notebook)) + "\n"


def source(plan: StudyFile) -> JsonObject:
    """The notebook before it is executed, in the format of nbformat 4.5."""
    head = {"study": plan.study, "title": plan.title, "claim": plan.claim or ""}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {
                "id": f"{plan.study}-{at}",
                "cell_type": kind,
                "metadata": {},
                "source": text.format(**head),
                **({"outputs": [], "execution_count": None} if kind == "code" else {}),
            }
            for at, (kind, text) in enumerate(_CELLS)
        ],
    }


def _stable(notebook: Any) -> Any:
    """The notebook without parts that differ between executions: paths in warnings, versions."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.output_type != "stream"]
    return notebook
