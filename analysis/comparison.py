"""Tables 1 to 3 of the paper: a line per system, with its size, SI-SNRi and SDRi.

A row of the study has one line for every depth that it asks for, or that it quotes the paper for;
"(3)" after a label is N_re = 3 at inference. Any other row is shown at its trained depth. Quoted
rows name their source. Rows with the same label on two corpora (Table 2) share a line. At profile
paper, and only there, our numbers and published ones are ranked together, and extra columns hold
the paper's value and our difference from it.
"""

import re
from dataclasses import dataclass

import pandas as pd

from tisdiss.analysis.captions import (
    basis,
    by_others,
    caveats,
    cited,
    covered,
    dagger,
    pretty,
)
from tisdiss.analysis.tables import (
    MISSING,
    AnyRow,
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
    row_millions,
)
from tisdiss.records.identity import short
from tisdiss.records.names import REPORTED, score_label
from tisdiss.records.plan_record import QuotedRow, ShownRow, StudyFile, TableRow

_YES, _NO = "✓", "×"


@dataclass(frozen=True)
class Line:
    """A system at one depth: one line of the table."""

    label: str
    n_re: int
    rows: dict[str, AnyRow]
    """The study's row by role of its corpus."""

    @property
    def row(self) -> AnyRow:
        """Any of the line's rows; they share name, size and marks."""
        return next(iter(self.rows.values()))

    @property
    def published(self) -> bool:
        """Reported by others, not trained here."""
        return isinstance(self.row, QuotedRow)

    def is_torn(self, role: str) -> bool:
        """Whether its row on a corpus has missing runs."""
        return role in self.rows and self.rows[role].is_torn

    def reported(self, metric: str, role: str) -> float | None:
        """The value of a score in the paper or another source; None if there is none."""
        row = self.rows.get(role)
        if isinstance(row, QuotedRow):
            return row.published.get(metric)
        return None if row is None else quoted(row, metric, self.n_re)


def comparison_table(curves: dict[str, pd.DataFrame], plan: StudyFile) -> Table:
    """The table of every system of a study, from `stats.depth_curve` of each score."""
    lines = table_lines(plan)
    columns = [*_marks(lines, plan), _params(lines, plan.at_paper)]
    for role, corpus in plan.scored_on.items():
        group = corpus.label or corpus.source if len(plan.scored_on) > 1 else ""
        for metric in REPORTED:
            columns += _scores(curves[metric], lines, metric, role, group, plan.at_paper)
    cells = zip(*(column.cells for column in columns), strict=True)
    families = [_family(line, plan) for line in lines]
    return Table(
        study=plan.study,
        profile=plan.profile,
        study_hash=short(plan.study_hash),
        name=plan.study,
        heading="Methods",
        corner="Methods",
        caption=_caption(curves[REPORTED[0]], plan, lines),
        columns=tuple(columns),
        rows=tuple(
            Row(
                line.label + dagger(*line.rows.values()),
                values,
                None if family == above else _rule(line, plan),
                line.row.id + dagger(*line.rows.values()),
            )
            for line, values, family, above in zip(
                lines, cells, families, [None, *families[:-1]], strict=True
            )
        ),
    )


def table_lines(plan: StudyFile) -> list[Line]:
    """The lines in the order of the study; below profile paper, quoted rows come last."""
    rows: list[AnyRow] = [*plan.rows, *plan.published]
    order = plan.order or [row.id for row in rows]
    rows.sort(key=lambda row: order.index(row.id))
    if not plan.at_paper:
        rows.sort(key=lambda row: isinstance(row, QuotedRow))
    lines: list[Line] = []
    for row in rows:
        for n_re in [0] if isinstance(row, QuotedRow) else shown_depths(row):
            label = _label(row, n_re)
            same = (line for line in lines if line.label == label and row.role not in line.rows)
            line = next(same, None)
            if line is None:
                lines.append(line := Line(label, n_re, {}))
            line.rows[row.role] = row
    return lines


def shown_depths(row: ShownRow) -> list[int]:
    """The depths at which a table shows a row: those of `at`, else of the quoted numbers."""
    if row.at:
        return row.at
    depths = (re.fullmatch(r"\w+\.re(\d+)", key) for key in row.paper or ())
    return sorted({int(depth[1]) for depth in depths if depth}) or [row.n_re_train]


def marks(row: TableRow) -> str | None:
    """ES/SP/ML of a row: early split, shared parameters, more than one loss."""
    if row.marks is None:
        return None
    has = row.marks.es, row.marks.sp, row.marks.ml
    return "/".join(_YES if mark else _NO for mark in has)


def _label(row: AnyRow, n_re: int) -> str:
    if isinstance(row, QuotedRow):
        return cited(row)
    label = pretty(row.label or row.id)
    depths = shown_depths(row)
    return f"{label} ({n_re})" if len(depths) > 1 or n_re != row.n_re_train else label


def _family(line: Line, plan: StudyFile) -> tuple[object, ...]:
    """The family of a line: whether it is TISDiSS, early split and shared parameters, if shown.

    The table draws a rule between families. Quoted rows are another one, but at profile paper they
    stand among the others' systems that are trained here.
    """
    row = line.row
    if isinstance(row, QuotedRow) and not plan.at_paper:
        return ("published",)
    has = row.marks if plan.show.marks else None
    is_tisdiss = isinstance(row, ShownRow) and re.match(r"sep\d", row.name) is not None
    return is_tisdiss, has and has.es, has and has.es and has.sp


def _rule(line: Line, plan: StudyFile) -> str:
    return by_others(plan) if line.published and not plan.at_paper else ""


def _marks(lines: list[Line], plan: StudyFile) -> list[Column]:
    if not plan.show.marks:
        return []
    cells = tuple(Cell(marks(line.row)) for line in lines)
    return [Column("ES/SP/ML", "ES/SP/ML", "c", cells)]


def _params(lines: list[Line], at_paper: bool) -> Column:
    texts = []
    for line in lines:
        millions = row_millions(line.row)
        short = at_paper and millions is not None
        texts.append(f"{millions:.1f}" if short else in_millions(millions))
    return column("Param [M]", "Param [M]", texts)


def _scores(
    curve: pd.DataFrame, lines: list[Line], metric: str, role: str, group: str, at_paper: bool
) -> list[Column]:
    """The columns of a score on one corpus.

    At profile paper there are columns of the paper's value and of our difference from it, too.
    """
    means = [_mean(curve, line, role) for line in lines]
    ours = [None if mean is None else fixed(mean["mean"]) for mean in means]
    spreads = [None if mean is None else half_width(mean) for mean in means]
    reported = [line.reported(metric, role) for line in lines]
    pairs = list(zip(lines, reported, strict=True))
    shown = [
        fixed(value) if line.published else text
        for (line, value), text in zip(pairs, ours, strict=True)
    ]
    label = score_label(metric)
    name = f"{group} {label}".strip()
    ranked = zip(lines, shown if at_paper else ours, strict=True)
    best = ranks([None if line.is_torn(role) else text for line, text in ranked])
    keys = [_key(line, role, metric) for line in lines]
    columns = [column(name, label, shown, spreads, best, group=group, keys=keys)]
    paper = [None if line.published else value for line, value in pairs]
    if at_paper and any(value is not None for value in paper):
        differences = [
            None if text is None or value is None else f"{float(text) - value:+.2f}"
            for text, value in zip(ours, paper, strict=True)
        ]
        cells = tuple(Cell(text and text.replace("-", "−")) for text in differences)
        columns += [
            column(f"{name} paper", "paper", [fixed(value) for value in paper], group=group),
            Column(f"{name} difference", r"$\Delta$", "r", cells, group),
        ]
    return columns


def _key(line: Line, role: str, metric: str) -> str:
    row = line.rows.get(role)
    return "" if row is None or line.published else f"{row.id}.{metric}.re{line.n_re}"


def _mean(curve: pd.DataFrame, line: Line, role: str) -> pd.Series | None:
    row = line.rows.get(role)
    return None if row is None or line.published else line_at(curve, row.id, line.n_re)


def _caption(curve: pd.DataFrame, plan: StudyFile, lines: list[Line]) -> str:
    title = plan.title if plan.title.endswith(("?", ".")) else f"{plan.title}."
    texts = [f"{title} SI-SNRi and SDRi [dB] ({', '.join(basis(plan, curve))})."]
    if any(line.label.endswith(f"({line.n_re})") for line in lines):
        texts.append("In parentheses: N_re at inference; without one, the N_re of training.")
    if _marks(lines, plan):
        texts.append("ES: early split; SP: shared parameters; ML: more than one loss.")
    if curve["low"].notna().any():
        texts.append(f"± is half the width of the 95 % interval over {covered(curve)}.")
    if {row.id for row in plan.rows} - set(curve["row"]):
        texts.append(f"A row of {MISSING} has no finished run.")
    return " ".join(texts + caveats(plan, curve))
