"""All studies on one page that needs no network: verdicts, figures, tables, and sounds to compare.

`page` takes results and sounds and returns HTML; `html_report` reads reports and writes it.
Styles and scripts lie in `templates/`.
"""

import html
import json
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tisdiss.analysis.captions import basis, caveats, fill, pretty, prose_html, row_label
from tisdiss.analysis.claims_text import counts, headline, meaning
from tisdiss.analysis.figures import render
from tisdiss.analysis.index import Entry, all_verdicts, entries, unreadable
from tisdiss.analysis.inventory import write_own
from tisdiss.analysis.places import check_reports
from tisdiss.analysis.provenance import differing_settings, origin_text, provenance
from tisdiss.analysis.recipe import recipe
from tisdiss.analysis.report import Say, figures_of, silent, tables_of
from tisdiss.analysis.results import Results, results_in, unscored
from tisdiss.analysis.sounds import Heard, heard, licences_of
from tisdiss.analysis.verdict import numbers_of
from tisdiss.records.expression import parse, rows_of
from tisdiss.records.files import DamagedError, JsonObject
from tisdiss.records.names import score_label

FIGURES = {
    "-cost": "Quality against cost",
    "-difficulty": "Hard and easy mixtures",
    "-change": "What each further pass changes",
}


_ABOUT_RUN = ("seed", "name", "status", "steps", "test_manifest", "code_hash")


@dataclass(frozen=True)
class Section:
    """A study as the page shows it."""

    results: Results
    heard: dict[str, list[Heard]] = field(default_factory=dict)
    """The mixtures of every row that is heard, by row."""
    silence: str = ""
    """Why nothing is heard."""
    credit: str = ""
    """Whom to thank for the sounds."""


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
    """Write the page of `reports`, of all its studies or of some, and return the file.

    Sounds are those that the run folders still have: of free corpora, or of all with `own_speech`.
    A ValueError says what to run when there is no report; `warn` hears of those that cannot be
    read. The same reports and sounds give the
    same bytes.
    """
    wanted = list(studies)
    check_reports(reports, wanted)
    listed = [entry for entry in entries(reports) if not wanted or entry.study in wanted]
    results: dict[str, Results] = {}
    for at, entry in enumerate(listed):
        try:
            if entry.plan:
                results[entry.study] = results_in(Path(reports) / entry.study)
        except DamagedError as error:
            listed[at] = unreadable(Path(reports) / entry.study, error)
    problems = {entry.study: entry.problem for entry in listed if entry.problem}
    lacking = [study for study in problems if study in wanted or not results]
    if lacking:
        raise DamagedError("\n".join(problems[study] for study in lacking))
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
            f"No sounds here. {credit} For a page of your own, the option --own-speech of tisdiss "
            "page adds them."
        )
        return Section(results, silence=silence), {}
    by_row: dict[str, list[Heard]] = {}
    sounds: dict[str, str] = {}
    silence = "the run folders that kept them are not"
    for row in _protagonists(results):
        depths = _telling_depths(results) if by_row else None
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


def _telling_depths(results: Results) -> set[int]:
    """The first, the last, and those of training: enough to compare rows; one row has all."""
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
    """The whole page as text; `listed` are all studies, also those without a section."""
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
        meanings=[text for text in (headline(verdicts), meaning(*profiles)) if text],
        sections=[_shown(section, say) for section in sections],
        listed=listed,
        style=_file("report.css"),
        script=_file("report.js"),
        data=_json({"sounds": sounds, "studies": _data(sections)}),
    )


def _shown(section: Section, say: Say) -> dict[str, object]:
    """Everything that the template prints of a study."""
    results = section.results
    say(f"{results.plan.study}: figures and tables")
    plan, figures = results.plan, figures_of(section.results)
    svgs = {
        suffix: _inline(figure, plan.study + suffix, _described(results, suffix))
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
    """The figures below the first, by what follows the study in their file names."""
    return {f"-{metric}": score_label(metric) for metric in results.metrics[1:]} | FIGURES


def _described(results: Results, suffix: str) -> str:
    """What a screen reader says of a figure; the numbers are in the table below it."""
    if suffix in FIGURES:
        return f"{results.plan.study}: {FIGURES[suffix].lower()}"
    label = score_label(suffix[1:] or results.metrics[0])
    return f"{results.plan.study}: {label} in dB against N_re at inference, a curve per variant"


def _data(sections: Sequence[Section]) -> JsonObject:
    """What the script needs: the origin of every cell, and the sounds of every player."""
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
    """Cells and runs, with the settings in which the runs differ instead of all of them."""
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


def _protagonists(results: Results) -> list[str]:
    """The rows to listen to, those with a depth to choose first, and as claims name them."""
    scores = results.frames.scores
    deep = list(dict.fromkeys(scores[scores["n_re"] > 0]["row"]))
    named = [row for verdict in results.verdicts for row in rows_of(parse(verdict.expr))]
    there = list(scores["row"].unique())
    first = [row for row in named if row in deep]
    return [row for row in dict.fromkeys([*first, *reversed(deep), *there]) if row in there]


def _inline(figure: Any, prefix: str, said: str) -> str:
    """A figure as SVG for HTML; its names are made unlike those of the other figures."""
    text = render(figure, ["svg"])["svg"].decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    text = text.replace(f'height="{height}pt"', "", 1)
    style = f'role="img" aria-label="{html.escape(said)}" style="width:{float(width):.0f}pt"'
    return text.replace(f'width="{width}pt"', style, 1)


def _css_class(status: str) -> str:
    return pretty(status).lower().replace(" ", "-")


def _file(name: str) -> str:
    return (resources.files("tisdiss.analysis") / "templates" / name).read_text("utf-8")


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
