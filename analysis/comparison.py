"""Tables 1 to 3 of the paper: a line per system, with its size, SI-SNRi and SDRi.

A row of the study is printed at every depth that it asks for or quotes the paper for, (3) for
N_re = 3 at inference; any other row, at its trained depth. What others reported has its source.
Rows of one label on two corpora (Table 2) stand in one line. Only at profile paper are our numbers
set against published ones: there they are ranked together, and the paper's value and our
difference from it have columns of their own.
"""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tisdiss.analysis.captions import (
    METRIC_LABELS,
    basis,
    by_others,
    caveats,
    cited,
    covered,
    dagger,
    pretty,
)
from tisdiss.analysis.frames import corpora, is_torn, role
from tisdiss.analysis.tables import (
    MISSING,
    Cell,
    Column,
    Row,
    Table,
    column,
    fixed,
    half_width,
    in_millions,
    line_at,
    quoted,
    ranks,
)

SCORES = ("si_snri", "sdri")
_YES, _NO = "✓", "×"


@dataclass(frozen=True)
class Line:
    """A system at one depth: one line of the table."""

    label: str
    n_re: int
    rows: dict[str, dict[str, Any]]
    """The study's row on each corpus; a system scored on two corpora stands in one line."""

    @property
    def row(self) -> dict[str, Any]:
        """What the line's rows share: name, size, marks."""
        return next(iter(self.rows.values()))

    @property
    def published(self) -> bool:
        """Reported by others, not trained here."""
        return "published" in self.row

    def reported(self, metric: str, corpus: str) -> float | None:
        """What the paper or others give for a score, if anything."""
        row = self.rows.get(corpus, {})
        if self.published:
            return row.get("published", {}).get(metric)
        return quoted(row.get("paper"), metric, self.n_re, row)


def comparison_table(curves: dict[str, pd.DataFrame], plan: dict[str, Any]) -> Table:
    """Every system of the study, from `stats.depth_curve` of each score."""
    at_paper = plan["profile"] == "paper"
    lines = table_lines(plan)
    columns = [*_marks(lines, plan), _params(lines, at_paper)]
    several = len(corpora(plan)) > 1
    for corpus, about in corpora(plan):
        group = about.get("label") or about["source"] if several else ""
        for metric in SCORES:
            columns += _scores(curves[metric], lines, metric, corpus, group, at_paper)
    cells = zip(*(column.cells for column in columns), strict=True)
    families = [None, *(_family(line) for line in lines)]
    return Table(
        study=plan["study"],
        profile=plan["profile"],
        study_hash=plan["study_hash"][:10],
        name=plan["study"],
        heading="Methods",
        corner="Methods",
        caption=_caption(curves[SCORES[0]], plan, lines),
        columns=tuple(columns),
        rows=tuple(
            Row(
                line.label + dagger(*line.rows.values()),
                values,
                None if _family(line) == above else _rule(line, plan),
                next(iter(line.rows.values()))["id"] + dagger(*line.rows.values()),
            )
            for line, values, above in zip(lines, cells, families, strict=False)
        ),
    )


def table_lines(plan: dict[str, Any]) -> list[Line]:
    """The lines in the order of the study; at other profiles, what others reported comes last."""
    rows = [*plan["rows"], *(plan.get("published") or ())]
    order = plan.get("order") or [row["id"] for row in rows]
    rows.sort(key=lambda row: order.index(row["id"]))
    if plan["profile"] != "paper":
        rows.sort(key=lambda row: "published" in row)
    lines: list[Line] = []
    for row in rows:
        for n_re in [0] if "published" in row else shown_depths(row):
            label = _label(row, n_re)
            same = (line for line in lines if line.label == label and role(row) not in line.rows)
            line = next(same, None)
            if line is None:
                lines.append(line := Line(label, n_re, {}))
            line.rows[role(row)] = row
    return lines


def shown_depths(row: dict[str, Any]) -> list[int]:
    """The depths at which a table shows a row: as the study says, else those it quotes."""
    if row.get("at"):
        return list(row["at"])
    named = (re.fullmatch(r"\w+\.re(\d+)", key) for key in row.get("paper") or ())
    return sorted({int(found[1]) for found in named if found}) or [row["n_re_train"]]


def marks(row: dict[str, Any]) -> str | None:
    """ES/SP/ML of a row: early split, shared parameters, more than one loss."""
    said = row.get("marks")
    if said is None:
        return None
    return "/".join(_YES if said[mark] else _NO for mark in ("es", "sp", "ml"))


def _label(row: dict[str, Any], n_re: int) -> str:
    if "published" in row:
        return cited(row)
    label = pretty(row.get("label") or row["id"])
    depths = shown_depths(row)
    return f"{label} ({n_re})" if len(depths) > 1 or n_re != row["n_re_train"] else label


def _family(line: Line) -> tuple[Any, ...]:
    """A rule separates families: published, architecture, early split, shared parameters."""
    if line.published:
        return ("published",)
    said = line.row.get("marks") or {}
    return line.row["name"].startswith("tf-"), said.get("es"), said.get("es") and said.get("sp")


def _rule(line: Line, plan: dict[str, Any]) -> str:
    return by_others(plan) if line.published else ""


def _marks(lines: list[Line], plan: dict[str, Any]) -> list[Column]:
    if not plan["show"].get("marks"):
        return []
    cells = tuple(Cell(marks(line.row)) for line in lines)
    return [Column("ES/SP/ML", "ES/SP/ML", "c", cells)]


def _params(lines: list[Line], at_paper: bool) -> Column:
    texts = []
    for line in lines:
        own = line.row.get("params")
        quoted_m = line.row.get("published", {}).get("params_m")
        millions = quoted_m if line.published else own and own / 1e6
        short = at_paper and millions is not None
        texts.append(f"{millions:.1f}" if short else in_millions(millions))
    return column("Param [M]", "Param [M]", texts)


def _scores(
    curve: pd.DataFrame, lines: list[Line], metric: str, corpus: str, group: str, at_paper: bool
) -> list[Column]:
    """A score on one corpus; at profile paper with the paper's value and our difference."""
    found = [_found(curve, line, corpus) for line in lines]
    ours = [None if line is None else fixed(line["mean"]) for line in found]
    spreads = [None if line is None else half_width(line) for line in found]
    reported = [line.reported(metric, corpus) for line in lines]
    pairs = list(zip(lines, reported, strict=True))
    shown = [
        fixed(value) if line.published else text
        for (line, value), text in zip(pairs, ours, strict=True)
    ]
    label = METRIC_LABELS[metric]
    name = f"{group} {label}".strip()
    ranked = zip(lines, shown if at_paper else ours, strict=True)
    best = ranks([None if is_torn(line.rows.get(corpus, {})) else text for line, text in ranked])
    keys = [_key(line, corpus, metric) for line in lines]
    columns = [column(name, label, shown, spreads, best, group=group, keys=keys)]
    paper = [None if line.published else value for line, value in pairs]
    if at_paper and any(value is not None for value in paper):
        apart = [
            None if text is None or value is None else f"{float(text) - value:+.2f}"
            for text, value in zip(ours, paper, strict=True)
        ]
        cells = tuple(Cell(text and text.replace("-", "−")) for text in apart)
        columns += [
            column(f"{name} paper", "paper", [fixed(value) for value in paper], group=group),
            Column(f"{name} difference", r"$\Delta$", "r", cells, group),
        ]
    return columns


def _key(line: Line, corpus: str, metric: str) -> str:
    row = line.rows.get(corpus)
    return "" if row is None or line.published else f"{row['id']}.{metric}.re{line.n_re}"


def _found(curve: pd.DataFrame, line: Line, corpus: str) -> pd.Series | None:
    row = line.rows.get(corpus)
    return None if row is None or line.published else line_at(curve, row["id"], line.n_re)


def _caption(curve: pd.DataFrame, plan: dict[str, Any], lines: list[Line]) -> str:
    title = plan["title"] if plan["title"].endswith(("?", ".")) else f"{plan['title']}."
    said = [f"{title} SI-SNRi and SDRi [dB] ({', '.join(basis(plan, curve))})."]
    if any(line.label.endswith(f"({line.n_re})") for line in lines):
        said.append("In parentheses: N_re at inference; else that of training.")
    if _marks(lines, plan):
        said.append("ES: early split; SP: shared parameters; ML: more than one loss.")
    if curve["low"].notna().any():
        said.append(f"± is half the width of the 95 % interval over {covered(curve)}.")
    if {row["id"] for row in plan["rows"]} - set(curve["row"]):
        said.append(f"A row of {MISSING} misses runs.")
    return " ".join(said + caveats(plan, curve))
