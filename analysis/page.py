"""All studies on one page that needs no network: verdicts, figures, tables, and sounds to compare.

`page` takes results and sounds and returns HTML; `html_report` reads run folders and writes it.
Styles and scripts lie in `templates/`.
"""

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from analysis.captions import METRIC_LABELS, basis, caveats, fill, pretty, row_label
from analysis.claims import counts, meaning
from analysis.figures import render
from analysis.listen import Heard, heard
from analysis.provenance import differing_settings, provenance
from analysis.report import figures_of, tables_of
from analysis.results import Results, results_of, unscored
from tisdiss.files import write_atomic
from tisdiss.harness.expression import parse, rows_of

FIGURES = {
    "-cost": "Quality against cost",
    "-difficulty": "Hard and easy mixtures",
    "-change": "What each further pass changes",
}


@dataclass(frozen=True)
class Section:
    """A study as the page shows it."""

    results: Results
    row: str = ""
    """The row that is heard."""
    heard: list[Heard] = field(default_factory=list)


def html_report(
    studies: Iterable[str], profile: str, runs_dir: Path, out_file: Path
) -> tuple[Path, list[str]]:
    """Write the page of all studies that were run at a profile.

    Returns the file, and for every study that is not on it the reason. A ValueError says what to
    run when there is none at all. The same runs give the same bytes.
    """
    sections: list[Section] = []
    sounds: dict[str, str] = {}
    absent: list[str] = []
    for study in studies:
        try:
            results = results_of(study, profile, runs_dir)
        except ValueError as error:
            absent.append(f"{study}: {error}")
            continue
        row = _protagonist(results)
        found, data = heard(results.frames, row, runs_dir, results.metrics[0])
        sounds |= data
        sections.append(Section(results, row, found))
    if not sections:
        raise ValueError(f"nothing to show at profile {profile}: {'; '.join(absent) or 'no study'}")
    write_atomic(Path(out_file), page(sections, sounds, profile, absent))
    return Path(out_file), absent


def page(
    sections: Sequence[Section], sounds: dict[str, str], profile: str, absent: Sequence[str] = ()
) -> str:
    """The whole page as text."""
    verdicts = [verdict for section in sections for verdict in section.results.verdicts]
    return fill(
        "report.html",
        {"html": html.escape, "css": _css_class},
        profile=profile,
        counts=counts(verdicts),
        meaning=meaning(profile),
        sections=[_shown(section) for section in sections],
        absent=[text.partition(":")[0] for text in absent],
        style=_file("report.css"),
        script=_file("report.js"),
        data=_json({"sounds": sounds, "studies": _data(sections)}),
    )


def _shown(section: Section) -> dict[str, Any]:
    """Everything that the template prints of a study."""
    results = section.results
    plan, figures = results.plan, figures_of(section.results)
    svgs = {suffix: _inline(figure, plan["study"] + suffix) for suffix, figure in figures.items()}
    label = next((row_label(r, plan) for r in plan["rows"] if r["id"] == section.row), "")
    return {
        "study": plan["study"],
        "title": plan["title"],
        "claim": plan.get("claim", ""),
        "verdicts": results.verdicts,
        "counts": counts(results.verdicts),
        "basis": basis(plan, results.curve),
        "caveats": caveats(plan, results.curve),
        "incomplete": unscored(results.frames),
        "lead": METRIC_LABELS[results.metrics[0]],
        "figure": svgs[""],
        "more": [(name, svgs[key]) for key, name in FIGURES.items() if key in svgs],
        "tables": tables_of(results),
        "heard": section.heard,
        "heard_label": label,
    }


def _data(sections: Sequence[Section]) -> dict[str, Any]:
    """What the script needs: the origin of every cell, and the sounds of every player."""
    return {
        section.results.plan["study"]: {
            **_origins(section.results),
            "metric": METRIC_LABELS[section.results.metrics[0]],
            "heard": [asdict(mixture) for mixture in section.heard],
        }
        for section in sections
    }


def _origins(results: Results) -> dict[str, Any]:
    """Cells and runs, with the settings in which the runs differ instead of all of them."""
    known = provenance(results)
    settings = differing_settings(known["runs"])
    runs = {
        identity: {key: value for key, value in run.items() if key != "config"}
        | {"settings": settings[identity]}
        for identity, run in known["runs"].items()
    }
    cells = {
        name: {k: v for k, v in cell.items() if k not in ("evaluations", "seeds")}
        for name, cell in known["cells"].items()
    }
    return {"runs": runs, "cells": cells, "manifest": known["corpus"].get("manifest", "")}


def _protagonist(results: Results) -> str:
    """The row to listen to: the first with a depth to choose that a claim names, else the last."""
    scores = results.frames.complete_scores
    there = list(dict.fromkeys(scores[scores["n_re"] > 0]["row"])) or list(scores["row"].unique())
    named = [row for verdict in results.verdicts for row in rows_of(parse(verdict.expr))]
    return next((row for row in named if row in there), there[-1])


def _inline(figure: Any, prefix: str) -> str:
    """A figure as SVG for HTML; its names are made unlike those of the other figures."""
    text = render(figure, ["svg"])["svg"].decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    text = text.replace(f'height="{height}pt"', "", 1)
    return text.replace(f'width="{width}pt"', f'role="img" style="width:{float(width):.0f}pt"', 1)


def _css_class(status: str) -> str:
    return pretty(status).lower().replace(" ", "-")


def _file(name: str) -> str:
    return (resources.files("analysis") / "templates" / name).read_text("utf-8")


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
