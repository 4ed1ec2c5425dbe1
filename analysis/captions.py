"""Words that tables, figures and reports share: labels, units, and what the numbers rest on."""

import re
import unicodedata
from importlib import resources
from typing import Any

import jinja2
import pandas as pd

from tisdiss.analysis.frames import (
    corpora,
    is_comparison,
    is_torn,
    planned_seeds,
    role,
    scored_seeds,
)

METRIC_LABELS = {"si_snr": "SI-SNR", "si_snri": "SI-SNRi", "sdr": "SDR", "sdri": "SDRi"}

DAGGER = "†"
"""After the label of a row that misses runs."""

FEW_SPEAKERS = 10
"""Below this many test speakers a caption warns that the interval is rough."""


def pretty(label: str) -> str:
    """A label on one line, with the paper's times sign: sep1x2-re1x3 -> sep1×2-re1×3."""
    line = " ".join(unicodedata.normalize("NFC", label).split())
    return re.sub(r"(?<=\d)x(?=\d)", "×", line)


def row_label(row: dict[str, Any], plan: dict[str, Any], *, marked: bool = True) -> str:
    """A row's label, with its corpus where the study has several, and a dagger if runs miss."""
    return pretty(row["label"]) + on_corpus(row, plan) + (dagger(row) if marked else "")


def on_corpus(row: dict[str, Any], plan: dict[str, Any]) -> str:
    """What follows a row's label in a study of several corpora."""
    named = dict(corpora(plan))
    corpus = named.get(role(row))
    return f", {corpus.get('label') or corpus['source']}" if corpus and len(named) > 1 else ""


def dagger(*rows: dict[str, Any]) -> str:
    """What a label ends with where any of its rows misses runs."""
    return DAGGER if any(map(is_torn, rows)) else ""


def daggers(plan: dict[str, Any]) -> list[str]:
    """What the daggers mean: the seeds of every row that misses some."""
    return [
        f"{DAGGER} {row_label(row, plan, marked=False)}: {_numbered(scored_seeds(row))} of "
        + ", ".join(map(str, planned_seeds(row)))
        for row in plan["rows"]
        if is_torn(row)
    ]


def reported(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that others reported, of a study of curves; a comparison has lines for them."""
    return [] if is_comparison(plan) else list(plan.get("published") or ())


def cited(row: dict[str, Any]) -> str:
    """The label of a row that others reported, with the number of its reference."""
    label = pretty(row.get("label") or row["id"])
    number = re.search(r"\[\d+\]", row.get("source") or "")
    return f"{label} {number[0]}" if number else label


def source_of(row: dict[str, Any]) -> str:
    """Where the numbers of a row that others reported are from."""
    return row.get("source") or "no source given"


def by_others(plan: dict[str, Any]) -> str:
    """What stands above the rows that others reported."""
    comparable = plan["profile"] == "paper"
    return "Reported by others" + ("" if comparable else " on the paper's corpora, not comparable")


def escape_markdown(text: str) -> str:
    """Text that Markdown prints as it stands, also in a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def escape_figure(text: str) -> str:
    """Text that matplotlib prints as it stands, not hidden from a legend; N_re as in the paper."""
    escaped = text.replace("$", r"\$").replace("N_re", r"$N_\mathrm{re}$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def basis(plan: dict[str, Any], curve: pd.DataFrame) -> list[str]:
    """Profile, corpus, seeds, mixtures and speakers: what every figure and table must state."""
    return [
        f"profile {plan['profile']}",
        _corpora(plan),
        _seeds(plan),
        f"{_span(curve['n_mixtures'])} mixtures",
        f"{_span(curve['n_speakers'])} speakers",
    ]


def _seeds(plan: dict[str, Any]) -> str:
    """All seeds that are shown, and how many a row has where rows do not have the same."""
    by_row = [seeds for seeds in map(scored_seeds, plan["rows"]) if seeds]
    named = _numbered(sorted({seed for seeds in by_row for seed in seeds}))
    if all(seeds == by_row[0] for seeds in by_row):
        return named
    return f"{named} ({_span(pd.Series(map(len, by_row)))} a row)"


def _numbered(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _corpora(plan: dict[str, Any]) -> str:
    names = list(dict.fromkeys(_named(corpus) for _, corpus in corpora(plan)))
    return f"{'corpus' if len(names) == 1 else 'corpora'} {' and '.join(names)}"


def _named(corpus: dict[str, Any]) -> str:
    label, source = corpus.get("label"), corpus["source"]
    return source if label in (None, source) else f"{label} ({source})"


def notes(plan: dict[str, Any]) -> list[str]:
    """What the plan says about its corpora, each once."""
    return list(dict.fromkeys(corpus["note"] for _, corpus in corpora(plan) if corpus.get("note")))


def timed_on(plan: dict[str, Any]) -> str:
    """The device of a study's real-time factors, short enough for an axis."""
    environment = plan["timing"]["environment"]
    threads = environment["threads"]
    cpu = f"{threads} CPU {'thread' if threads == 1 else 'threads'}"
    return environment["accelerator"] or cpu


def timed_how(plan: dict[str, Any]) -> str:
    """How a study's real-time factors were measured."""
    timing = plan["timing"]
    environment = timing["environment"]
    machine = environment["accelerator"] or f"{timed_on(plan)} of {environment['cpu']}"
    return (
        f"median of {timing['rounds']} passes over {timing['seconds']:g} s of sound, all rows in "
        f"turn, on {machine}, torch {environment['torch']}"
    )


def covered(curve: pd.DataFrame) -> str:
    """Over which draws an interval holds: other test speakers, and other trainings."""
    return "speakers and seeds" if curve["n_seeds"].max() > 1 else "speakers"


def caveats(plan: dict[str, Any], curve: pd.DataFrame) -> list[str]:
    """Sentences without which the numbers would be misread."""
    said = []
    said += [_sentence(note) for note in notes(plan)]
    if curve["low"].isna().all():
        said.append("Too few speakers for an interval.")
    elif curve["n_speakers"].min() < FEW_SPEAKERS:
        speakers = _span(curve["n_speakers"])
        said.append(f"With {speakers} speakers the interval says little about other voices.")
    if marked := daggers(plan):
        said += [_sentence(text) for text in [*marked, f"Rows of {DAGGER} are not ranked"]]
    if missing := int(curve["n_missing"].sum()):
        torn = curve[curve["n_missing"] > 0]["row"].unique()
        labels = [row_label(row, plan) for row in plan["rows"] if row["id"] in torn]
        said.append(f"{missing} undefined scores are left out ({', '.join(labels)}).")
    if plan["profile"] != "paper":
        said.append(
            f"Profile {plan['profile']}: corpus, model and training are smaller than the paper's, "
            "and so the decibels are not comparable with the paper's."
        )
    return said


def fill(template: str, filters: dict[str, Any], **values: Any) -> str:
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
