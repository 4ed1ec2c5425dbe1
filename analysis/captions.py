"""Words that tables, figures and reports share: labels, units, and what the numbers rest on."""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import jinja2
import pandas as pd

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
"""Of a template, by name."""

DAGGER = "†"
"""After the label of a row that misses runs."""

FEW_SPEAKERS = 10
"""Below this many test speakers a caption warns that the interval is rough."""


def pretty(label: str) -> str:
    """A label on one line, with the paper's times sign: sep1x2-re1x3 -> sep1×2-re1×3."""
    line = " ".join(unicodedata.normalize("NFC", label).split())
    return re.sub(r"(?<=\d)x(?=\d)", "×", line)


def row_label(row: ShownRow, plan: StudyFile, *, marked: bool = True) -> str:
    """A row's label, with its corpus where the study has several, and a dagger if runs miss."""
    return pretty(row.label) + on_corpus(row, plan) + (dagger(row) if marked else "")


def on_corpus(row: TableRow, plan: StudyFile) -> str:
    """What follows a row's label in a study of several corpora."""
    corpus = plan.scored_on.get(row.role)
    return f", {corpus.label or corpus.source}" if corpus and len(plan.scored_on) > 1 else ""


def dagger(*rows: TableRow) -> str:
    """What a label ends with where any of its rows misses runs."""
    return DAGGER if any(row.is_torn for row in rows) else ""


def daggers(plan: StudyFile) -> list[str]:
    """What the daggers mean: the seeds of every row that misses some."""
    return [
        f"{DAGGER} {row_label(row, plan, marked=False)}: {_numbered(row.shown_seeds)} of "
        + ", ".join(map(str, row.planned_seeds))
        for row in plan.rows
        if row.is_torn
    ]


def reported(plan: StudyFile) -> list[QuotedRow]:
    """The rows that others reported, of a study of curves; a comparison has lines for them."""
    return [] if plan.is_comparison else plan.published


def cited(row: QuotedRow) -> str:
    """The label of a row that others reported, with the number of its reference."""
    label = pretty(row.label or row.id)
    number = re.search(r"\[\d+\]", row.source or "")
    return f"{label} {number[0]}" if number else label


def source_of(row: QuotedRow) -> str:
    """Where the numbers of a row that others reported are from."""
    return row.source or "no source given"


def by_others(plan: StudyFile) -> str:
    """What stands above the rows that others reported."""
    where = "" if plan.at_paper else " on the paper's corpora, not comparable"
    return f"Reported by others{where}"


def escape_markdown(text: str) -> str:
    """Text that Markdown prints as it stands, also in a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def prose_markdown(text: str) -> str:
    """Paragraphs for Markdown: all that stands between backticks stays code."""
    parts = text.strip().split("`")
    shown = (part if at % 2 else escape_markdown(part) for at, part in enumerate(parts))
    return "`".join(shown).replace("\n", "\n\n")


def prose_html(text: str) -> str:
    """Paragraphs for HTML, with code in backticks."""
    parts = html.escape(text.strip()).split("`")
    marked = "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
    return "".join(f"<p>{paragraph}</p>" for paragraph in marked.split("\n") if paragraph)


def escape_figure(text: str) -> str:
    """Text that matplotlib prints as it stands, not hidden from a legend; N_re as in the paper."""
    escaped = text.replace("$", r"\$").replace("N_re", r"$N_\mathrm{re}$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def basis(plan: StudyFile, curve: pd.DataFrame) -> list[str]:
    """Profile, corpus, seeds, mixtures and speakers: what every figure and table must state."""
    return [
        f"profile {plan.profile}",
        _corpora(plan),
        _seeds(plan),
        f"{_span(curve['n_mixtures'])} mixtures",
        f"{_span(curve['n_speakers'])} speakers",
    ]


def _seeds(plan: StudyFile) -> str:
    """All seeds that are shown, and how many a row has where rows do not have the same."""
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
    """What the plan says about its corpora, each once."""
    return list(dict.fromkeys(c.note for c in plan.scored_on.values() if c.note))


def timed_on(environment: TimedOn) -> str:
    """The device of real-time factors, short enough for an axis."""
    threads = environment.threads
    cpu = f"{threads} CPU {'thread' if threads == 1 else 'threads'}"
    return environment.accelerator or cpu


def timed_how(timing: AboutTiming) -> str:
    """How real-time factors were measured."""
    environment = timing.environment
    machine = environment.accelerator or f"{timed_on(environment)} of {environment.cpu}"
    return (
        f"median of {timing.rounds} passes over {timing.seconds:g} s of sound, all rows in "
        f"turn, on {machine}, torch {environment.torch}"
    )


def covered(curve: pd.DataFrame) -> str:
    """Over which draws an interval holds: other test speakers, and other trainings."""
    return "speakers and seeds" if curve["n_seeds"].max() > 1 else "speakers"


def caveats(plan: StudyFile, curve: pd.DataFrame) -> list[str]:
    """Sentences without which the numbers would be misread."""
    texts = [_sentence(note) for note in notes(plan)]
    if curve["low"].isna().all():
        texts.append("Too few speakers for an interval.")
    elif curve["n_speakers"].min() < FEW_SPEAKERS:
        speakers = _span(curve["n_speakers"])
        texts.append(f"With {speakers} speakers the interval says little about other voices.")
    if marked := daggers(plan):
        texts += [_sentence(text) for text in [*marked, f"Rows of {DAGGER} are not ranked"]]
    if missing := int(curve["n_missing"].sum()):
        torn = curve[curve["n_missing"] > 0]["row"].unique()
        labels = [row_label(row, plan) for row in plan.rows if row.id in torn]
        texts.append(f"{missing} undefined scores are left out ({', '.join(labels)}).")
    if not plan.at_paper:
        texts.append(
            f"Profile {plan.profile}: corpus, model and training are smaller than the paper's, "
            "and so the decibels are not comparable with the paper's."
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
    source = (resources.files("tisdiss.analysis") / "templates" / template).read_text("utf-8")
    return environment.from_string(source).render(**values)


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
