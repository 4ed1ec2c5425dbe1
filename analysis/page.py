"""One offline HTML page of all studies: verdicts, figures, tables, and sounds to compare.

`page` takes results and sounds and returns HTML; `html_report` reads reports and writes the page.
Styles and scripts are in `templates/`.
"""

import html
import json
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tisdiss.analysis.canvas import render
from tisdiss.analysis.captions import basis, caveats, fill, pretty, prose_html, row_label
from tisdiss.analysis.claims_text import counts, headline, meaning
from tisdiss.analysis.index import Entry, all_verdicts, entries, unreadable
from tisdiss.analysis.inventory import write_own
from tisdiss.analysis.places import check_reports
from tisdiss.analysis.provenance import differing_settings, origin_text, provenance
from tisdiss.analysis.recipe import recipe
from tisdiss.analysis.report import FURTHER, Say, figures_of, silent, tables_of
from tisdiss.analysis.results import Results, results_in, unscored
from tisdiss.analysis.sounds import Heard, heard, licences_of
from tisdiss.analysis.verdict import numbers_of
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import DamagedError, JsonObject, package_text
from tisdiss.records.names import score_heading, score_label

_TEMPLATES = "analysis/templates"
_ABOUT_RUN = ("seed", "name", "status", "steps", "test_manifest", "code_hash")


@dataclass(frozen=True)
class Section:
    """A study on the page."""

    results: Results
    heard: dict[str, list[Heard]] = field(default_factory=dict)
    """The mixtures with sounds, by row."""
    silence: str = ""
    """The reason why there are no sounds."""
    credit: str = ""
    """The licence notices of the sounds."""


def html_report(
    reports: Path,
    runs_dir: Path,
    out_file: Path,
    studies: Iterable[str] = (),
    *,
    own_speech: bool = False,
    force: bool = False,
    say: Say = silent,
    warn: Callable[[str], object] = warnings.warn,
) -> Path:
    """Write the page of the reports of `studies`, by default of all, and return its path.

    Sounds come from run folders. They are included if their licence allows passing them on, or with
    `own_speech`. The same reports and sounds give the same bytes. `warn` is called with a message
    for each report that cannot be read. ValueError says what to run if there is no report.
    """
    names = list(studies)
    check_reports(reports, names)
    listed = [entry for entry in entries(reports) if not names or entry.study in names]
    results: dict[str, Results] = {}
    for at, entry in enumerate(listed):
        try:
            if entry.plan:
                results[entry.study] = results_in(Path(reports) / entry.study)
        except DamagedError as error:
            listed[at] = unreadable(Path(reports) / entry.study, error)
    problems = {entry.study: entry.problem for entry in listed if entry.problem}
    unreadable_studies = [study for study in problems if study in names or not results]
    if unreadable_studies:
        raise DamagedError("\n".join(problems[study] for study in unreadable_studies))
    for problem in problems.values():
        warn(problem)
    sections: list[Section] = []
    sounds: dict[str, str] = {}
    for name, of_study in results.items():
        say(f"{name}: sounds")
        section, data = _section(of_study, runs_dir, own_speech)
        sections.append(section)
        sounds |= data
    text = page(sections, sounds, listed, say=say)
    (path,) = write_own(Path(out_file).parent, {Path(out_file).name: text}, force=force)
    return path


def _section(results: Results, runs_dir: Path, own_speech: bool) -> tuple[Section, dict[str, str]]:
    licences = licences_of(results.frames)
    credit = " ".join(licence.said for licence in licences)
    if not all(licence.may_be_passed_on for licence in licences) and not own_speech:
        silence = (
            f"No sounds here. {credit} The option --own-speech of tisdiss page adds them to a page "
            "for yourself."
        )
        return Section(results, silence=silence), {}
    by_row: dict[str, list[Heard]] = {}
    sounds: dict[str, str] = {}
    silence = "no run folder has them"
    for row in _rows_to_hear(results):
        depths = _main_depths(results) if by_row else None
        try:
            players, data = heard(results.frames, row, runs_dir, results.metrics[0], depths)
        except DamagedError as error:
            silence = str(error)
            continue
        if players:
            by_row[row] = players
            sounds |= data
    if not by_row:
        return Section(results, silence=f"No sounds here: {silence}."), {}
    return Section(results, by_row, credit=credit), sounds


def _main_depths(results: Results) -> set[int]:
    """The first, the last and the trained depths, for all rows but the first, which has all."""
    depths = set(results.frames.scores["n_re"])
    ends = {min(depths - {0}, default=0), max(depths), 0}
    return ends | {row.n_re_train for row in results.plan.rows}


def page(
    sections: Sequence[Section],
    sounds: dict[str, str],
    listed: Sequence[Entry],
    *,
    say: Say = silent,
) -> str:
    """The HTML of the page; `listed` are all studies, also those without a section."""
    profiles = dict.fromkeys(section.results.plan.profile for section in sections)
    verdicts = all_verdicts(listed)
    return fill(
        "report.html",
        {
            "html": html.escape,
            "prose": prose_html,
            "css": _css_class,
            "numbers": numbers_of,
        },
        counts=counts(verdicts),
        meanings=[text for text in (headline(verdicts), meaning(verdicts, *profiles)) if text],
        sections=[_values(section, say) for section in sections],
        listed=listed,
        style=package_text("sound/player.css") + package_text(f"{_TEMPLATES}/report.css"),
        script=package_text("sound/player.js") + package_text(f"{_TEMPLATES}/report.js"),
        data=_json({"sounds": sounds, "studies": _data(sections)}),
    )


def _values(section: Section, say: Say) -> dict[str, object]:
    """The values of a study for the template."""
    results = section.results
    say(f"{results.plan.study}: figures and tables")
    plan, figures = results.plan, figures_of(section.results)
    svgs = {
        suffix: _inline(figure, plan.study + suffix, _description(results, suffix))
        for suffix, figure in figures.items()
    }
    labels = {row.id: row_label(row, plan) for row in plan.rows}
    return {
        "study": plan.study,
        "title": plan.title,
        "claim": plan.claim or "",
        "how_to_read": plan.how_to_read,
        "recipe": recipe(results.frames),
        "verdicts": results.verdicts,
        "counts": counts(results.verdicts),
        "basis": basis(plan, results.curve),
        "caveats": caveats(plan, results.curve),
        "incomplete": unscored(results.frames),
        "lead": score_label(results.metrics[0]),
        "figure": svgs[""],
        "more": [(name, svgs[key]) for key, name in _further(results).items() if key in svgs],
        "tables": tables_of(results),
        "heard": [(labels[row], mixtures) for row, mixtures in section.heard.items()],
        "has_interval": bool(results.curve["low"].notna().any()),
        "silence": section.silence,
        "credit": section.credit,
    }


def _further(results: Results) -> dict[str, str]:
    """The titles of the further figures, by suffix of their file names."""
    return {f"-{metric}": score_label(metric) for metric in results.metrics[1:]} | FURTHER


def _description(results: Results, suffix: str) -> str:
    """The description of a figure for screen readers; the table below it has the numbers."""
    if suffix in FURTHER:
        return f"{results.plan.study}: {FURTHER[suffix].lower()}"
    heading = score_heading(suffix[1:] or results.metrics[0])
    return f"{results.plan.study}: {heading} against N_re at inference, a curve per variant"


def _data(sections: Sequence[Section]) -> JsonObject:
    """Data for the script: the origin of every cell, and the sounds of every player."""
    return {
        section.results.plan.study: {
            **_origins(section.results),
            "metric": score_label(section.results.metrics[0]),
            "heard": [
                [asdict(mixture) for mixture in mixtures] for mixtures in section.heard.values()
            ],
        }
        for section in sections
    }


def _origins(results: Results) -> JsonObject:
    """Cells and runs; a run has only the settings in which the study's runs differ."""
    report = provenance(results)
    settings = differing_settings(report.runs)
    runs = {
        run.identity: {key: getattr(run, key) for key in _ABOUT_RUN}
        | {"settings": settings[run.identity], "origin": origin_text(run)}
        for run in report.runs
    }
    corpora = results.plan.scored_on
    manifests = {row.id: corpora[row.role].manifest or "" for row in results.plan.rows}
    cells = {
        name: cell.model_dump(exclude={"evaluations", "seeds"})
        | {"manifest": manifests[name.rsplit(".", 2)[0]]}
        for name, cell in report.cells.items()
    }
    return {"runs": runs, "cells": cells}


def _rows_to_hear(results: Results) -> list[str]:
    """The scored rows: first those with N_re, in the order of the claims, then the others."""
    scores = results.frames.scores
    scalable = list(dict.fromkeys(scores[scores["n_re"] > 0]["row"]))
    claimed = [row for verdict in results.verdicts for row in rows_of(parse(verdict.expr))]
    scored = list(scores["row"].unique())
    first = [row for row in claimed if row in scalable]
    rows = dict.fromkeys([*first, *reversed(scalable), *scored])
    return [row for row in rows if row in scored]


def _inline(figure: Any, prefix: str, description: str) -> str:
    """A figure as SVG for HTML; `prefix` makes its element ids unique on the page."""
    text = render(figure, ["svg"])["svg"].decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    text = text.replace(f'height="{height}pt"', "", 1)
    label = f'role="img" aria-label="{html.escape(description)}"'
    return text.replace(f'width="{width}pt"', f'{label} style="width:{float(width):.0f}pt"', 1)


def _css_class(status: str) -> str:
    return pretty(status).lower().replace(" ", "-")


def _json(value: Any) -> str:
    """JSON for a script element, without a "<" that could end it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
