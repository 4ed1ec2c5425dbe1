"""Words that tables, figures and reports share: labels, units, and what the numbers rest on."""

import re
import unicodedata
from importlib import resources
from typing import Any

import jinja2
import pandas as pd

from analysis.frames import corpora, role

METRIC_LABELS = {"si_snr": "SI-SNR", "si_snri": "SI-SNRi", "sdr": "SDR", "sdri": "SDRi"}

FEW_SPEAKERS = 10
"""Below this many test speakers a caption warns that the interval is rough."""


def pretty(label: str) -> str:
    """A label on one line, with the paper's times sign: sep1x2-re1x3 -> sep1×2-re1×3."""
    line = " ".join(unicodedata.normalize("NFC", label).split())
    return re.sub(r"(?<=\d)x(?=\d)", "×", line)


def row_label(row: dict[str, Any], plan: dict[str, Any]) -> str:
    """A row's label, with its corpus where the study has several."""
    named = dict(corpora(plan))
    label = pretty(row["label"])
    if len(named) < 2:
        return label
    corpus = named[role(row)]
    return f"{label}, {corpus.get('label') or corpus['source']}"


def escape_markdown(text: str) -> str:
    """Text that Markdown prints as it stands, also in a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def escape_figure(text: str) -> str:
    """Text that matplotlib prints as it stands, not hidden from a legend; N_re as in the paper."""
    escaped = text.replace("$", r"\$").replace("N_re", r"$N_\mathrm{re}$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def basis(plan: dict[str, Any], curve: pd.DataFrame) -> list[str]:
    """Profile, corpus, seeds, mixtures and speakers: what every figure and table must state."""
    seeds = sorted({run["seed"] for row in plan["rows"] for run in row["runs"]})
    named = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    return [
        f"profile {plan['profile']}",
        _corpora(plan),
        named,
        f"{_span(curve['n_mixtures'])} mixtures",
        f"{_span(curve['n_speakers'])} speakers",
    ]


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


def resampled(curve: pd.DataFrame) -> str:
    """What the interval resamples over."""
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
    source = (resources.files("analysis") / "templates" / template).read_text("utf-8")
    return environment.from_string(source).render(**values)


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
