"""Texts shared by tables, figures and reports: labels, units, and the data behind the numbers."""

import html
import re
import textwrap
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
import pandas as pd

from tisdiss.records.files import package_text
from tisdiss.records.plan_record import (
    AboutTiming,
    Corpus,
    QuotedRow,
    ShownRow,
    StudyFile,
    TableRow,
    TimedOn,
)

Filters = Mapping[str, Callable[..., str]]
"""The filters of a template, by name."""

NO_BREAK = "\N{NO-BREAK SPACE}"

DAGGER = "†"
"""The mark after the label of a row with missing runs."""

FEW_SPEAKERS = 10
"""With fewer test speakers, a caption warns that the interval is approximate."""


def pretty(label: str) -> str:
    """A label on one line, with the paper's times sign: sep1x2-re1x3 -> sep1×2-re1×3."""
    line = " ".join(unicodedata.normalize("NFC", label).split())
    return re.sub(r"(?<=\d)x(?=\d)", "×", line)


def row_label(row: ShownRow, plan: StudyFile, *, marked: bool = True) -> str:
    """A row's label, with its corpus if the study has several, and a dagger if runs are missing."""
    return pretty(row.label) + on_corpus(row, plan) + (dagger(row) if marked else "")


def on_corpus(row: TableRow, plan: StudyFile) -> str:
    """The suffix of a row's label that names its corpus; empty for a study of one corpus."""
    corpus = plan.scored_on.get(row.role)
    return f", {corpus.label or corpus.source}" if corpus and len(plan.scored_on) > 1 else ""


def dagger(*rows: TableRow) -> str:
    """A dagger if any of the rows has missing runs, else nothing."""
    return DAGGER if any(row.is_torn for row in rows) else ""


def daggers(plan: StudyFile) -> list[str]:
    """The meaning of each dagger: the seeds that a row has, of those planned."""
    return [
        f"{DAGGER} {row_label(row, plan, marked=False)}: {_numbered(row.shown_seeds)} of "
        + ", ".join(map(str, row.planned_seeds))
        for row in plan.rows
        if row.is_torn
    ]


def reported(plan: StudyFile) -> list[QuotedRow]:
    """The quoted rows of a study of curves; empty for a comparison, whose table has them."""
    return [] if plan.is_comparison else plan.published


def cited(row: QuotedRow) -> str:
    """The label of a quoted row, with the number of its reference."""
    label = pretty(row.label or row.id)
    number = re.search(r"\[\d+\]", row.source or "")
    return f"{label} {number[0]}" if number else label


def source_of(row: QuotedRow) -> str:
    """The source of a quoted row's numbers."""
    return row.source or "no source given"


def by_others(plan: StudyFile) -> str:
    """The heading above the quoted rows."""
    where = "" if plan.at_paper else " on the paper's corpora, not comparable"
    return f"Reported by others{where}"


def escape_markdown(text: str) -> str:
    """Text escaped for Markdown, also in a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def prose_markdown(text: str) -> str:
    """Paragraphs for Markdown; text between backticks stays code."""
    parts = text.strip().split("`")
    shown = (part if at % 2 else escape_markdown(part) for at, part in enumerate(parts))
    return "`".join(shown).replace("\n", "\n\n")


def prose_html(text: str) -> str:
    """Paragraphs for HTML; text between backticks becomes code."""
    parts = html.escape(text.strip()).split("`")
    marked = "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
    return "".join(f"<p>{paragraph}</p>" for paragraph in marked.split("\n") if paragraph)


def escape_figure(text: str) -> str:
    """Text escaped for matplotlib, with N_re as in the paper.

    A space before a leading underscore keeps matplotlib from hiding the label in a legend.
    """
    escaped = text.replace("$", r"\$").replace("N_re", r"$N_\mathrm{re}$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def wrapped(line: str, width: int) -> list[str]:
    """A line broken into several, between its items (" · ") if they are short enough."""
    items = line.replace(" ", NO_BREAK).replace(f"{NO_BREAK}·{NO_BREAK}", " ·" + NO_BREAK)
    if any(len(item) > width for item in items.split(" ")):
        return textwrap.wrap(line, width)
    parts = textwrap.wrap(items, width, break_on_hyphens=False)
    return [part.replace(NO_BREAK, " ").removeprefix("· ") for part in parts]


def basis(plan: StudyFile, curve: pd.DataFrame) -> list[str]:
    """Profile, corpus, seeds, mixtures and speakers, which every figure and table must state."""
    return [
        f"profile {plan.profile}",
        _corpora(plan),
        _seeds(plan),
        f"{_span(curve['n_mixtures'])} mixtures",
        f"{_span(curve['n_speakers'])} speakers",
    ]


def _seeds(plan: StudyFile) -> str:
    """All seeds that are shown, and the number per row if rows have different seeds."""
    by_row = [row.shown_seeds for row in plan.rows if row.shown_seeds]
    listed = _numbered(sorted({seed for seeds in by_row for seed in seeds}))
    if all(seeds == by_row[0] for seeds in by_row):
        return listed
    return f"{listed} ({_span(pd.Series(map(len, by_row)))} a row)"


def _numbered(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _corpora(plan: StudyFile) -> str:
    names = list(dict.fromkeys(map(_corpus_name, plan.scored_on.values())))
    return f"{'corpus' if len(names) == 1 else 'corpora'} {' and '.join(names)}"


def _corpus_name(corpus: Corpus) -> str:
    bare = corpus.label in (None, corpus.source)
    return corpus.source if bare else f"{corpus.label} ({corpus.source})"


def notes(plan: StudyFile) -> list[str]:
    """The notes of the plan's corpora, each once."""
    return list(dict.fromkeys(c.note for c in plan.scored_on.values() if c.note))


def timed_on(environment: TimedOn) -> str:
    """The device on which real-time factors were measured, short enough for an axis."""
    threads = environment.threads
    cpu = f"{threads} CPU {'thread' if threads == 1 else 'threads'}"
    return environment.accelerator or cpu


def timed_how(timing: AboutTiming) -> str:
    """The measurement of real-time factors, in words."""
    environment = timing.environment
    machine = environment.accelerator or f"{timed_on(environment)} of {environment.cpu}"
    return (
        f"median of {timing.rounds} passes over {timing.seconds:g} s of sound, all rows in "
        f"turn, on {machine}, torch {environment.torch}"
    )


def covered(curve: pd.DataFrame) -> str:
    """The random choices that an interval covers: test speakers and, with several seeds, seeds."""
    return "speakers and seeds" if curve["n_seeds"].max() > 1 else "speakers"


def caveats(plan: StudyFile, curve: pd.DataFrame) -> list[str]:
    """Sentences that a reader needs to understand the numbers correctly."""
    texts = [_sentence(note) for note in notes(plan)]
    if curve["low"].isna().all():
        texts.append("Too few speakers for an interval.")
    elif curve["n_speakers"].min() < FEW_SPEAKERS:
        speakers = _span(curve["n_speakers"])
        texts.append(f"With only {speakers} speakers the interval is approximate.")
    if marked := daggers(plan):
        texts += [_sentence(text) for text in [*marked, f"Rows with {DAGGER} are not ranked"]]
    if missing := int(curve["n_missing"].sum()):
        torn = curve[curve["n_missing"] > 0]["row"].unique()
        labels = [row_label(row, plan) for row in plan.rows if row.id in torn]
        texts.append(f"{missing} undefined scores are left out ({', '.join(labels)}).")
    if not plan.at_paper:
        texts.append(
            f"Profile {plan.profile}: corpus, model and training are smaller than the paper's, "
            "so the decibels are not comparable with the paper's."
        )
    return texts


def fill(template: str, filters: Filters, **values: Any) -> str:
    """A file of `templates/` with its <<values>> and <% statements %> filled in."""
    environment = jinja2.Environment(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters |= filters
    source = package_text(f"analysis/templates/{template}")
    return environment.from_string(source).render(**values)


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
