"""Tables of scores over N_re, printed as LaTeX (booktabs, siunitx), Markdown or CSV.

Tables that compare systems, such as Tables 1 to 3 of the paper, are made in `comparison.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tisdiss.analysis.captions import (
    Filters,
    basis,
    by_others,
    caveats,
    cited,
    covered,
    dagger,
    escape_markdown,
    fill,
    reported,
    row_label,
    source_of,
)
from tisdiss.analysis.latex import escape_tex, with_letters
from tisdiss.records.identity import short
from tisdiss.records.names import SI_SNRI, score_heading
from tisdiss.records.plan_record import QuotedRow, ShownRow, StudyFile

MISSING = "--"

AnyRow = ShownRow | QuotedRow


@dataclass(frozen=True)
class Cell:
    """One number as printed; `text` is None without a number."""

    text: str | None
    spread: str | None = None
    """Half the width of the interval."""
    rank: int = 0
    """1 for the best of its column, 2 for the second, 0 for all others."""
    pad: str = ""
    """A "0" for each character by which the widest number of the column is longer."""
    key: str = ""
    """The name of the number in the provenance, such as "l3.si_snri.re3"."""


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading in Markdown and in LaTeX, and its siunitx format."""

    name: str
    tex: str
    format: str
    cells: tuple[Cell, ...]
    group: str = ""
    """A heading above the columns of a group; empty for none."""

    @property
    def short(self) -> str:
        """The heading without that of its group."""
        return self.name.removeprefix(self.group).removeprefix("N_re = ").strip() or self.name


@dataclass(frozen=True)
class Row:
    """One variant of the study."""

    label: str
    cells: tuple[Cell, ...]
    rule: str | None = None
    """The text of a rule above the row; None for no rule, empty for a rule without text."""
    plain: str = ""
    """Replaces the label if LaTeX does not have its letters."""

    @property
    def has_spread(self) -> bool:
        """Whether any number of the row has an interval."""
        return any(cell.spread for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """A table with its numbers rounded to text, before any markup."""

    study: str
    profile: str
    study_hash: str
    name: str
    """Part of the LaTeX label, unique in a document."""
    heading: str
    """The heading of the first column in LaTeX."""
    corner: str
    """The heading of the first column in Markdown."""
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, int, int]]:
        """Headings over several columns: text, first and last column; column 1 has the labels."""
        spans: list[tuple[str, int, int]] = []
        for at, column in enumerate(self.columns, start=2):
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1], at)
            else:
                spans.append((column.group, at, at))
        return spans if any(column.group for column in self.columns) else []


def depth_table(curve: pd.DataFrame, plan: StudyFile, *, metric: str = SI_SNRI) -> Table:
    """Every row of the plan against inference depth, from `stats.depth_curve`.

    A row that is not in `curve` has no finished run and prints as missing. Quoted rows follow;
    their numbers without a depth have a column of their own. At profile paper, a further column has
    the paper's value at the trained depth; at other profiles it would mislead.
    """
    curve = curve[curve["metric"] == metric]
    own, others = [row for row in plan.rows if row.n_re_train], reported(plan)
    rows: list[AnyRow] = [*own, *others]
    trained = [*(str(row.n_re_train) for row in own), *[None] * len(others)]
    columns = [column("trained N_re", r"$N_\mathrm{re}$ (train)", trained)]
    params = [in_millions(row_millions(row)) for row in rows]
    if any(params):
        columns.append(column("params [M]", "Params [M]", params))
    columns += _depth_columns(curve, plan, rows, metric)
    levels = [fixed(_reported(row, metric)) for row in rows]
    if any(levels):
        columns.append(column("reported", "Reported", levels))
    paper = [*(fixed(quoted(row, metric, row.n_re_train)) for row in own), *[None] * len(others)]
    at_paper = plan.at_paper and any(paper)
    if at_paper:
        columns.append(column("paper", "Paper", paper))
    cells = zip(*(column.cells for column in columns), strict=True)
    return Table(
        study=plan.study,
        profile=plan.profile,
        study_hash=short(plan.study_hash),
        name=plan.study,
        heading="Variant",
        corner=score_heading(metric),
        caption=_caption(curve, plan, metric, at_paper),
        columns=tuple(columns),
        rows=tuple(_row(row, c, plan) for row, c in zip(rows, cells, strict=True)),
    )


def _row(row: AnyRow, cells: tuple[Cell, ...], plan: StudyFile) -> Row:
    """A line of the table, with a rule above the first quoted row."""
    if isinstance(row, ShownRow):
        return Row(row_label(row, plan), cells, plain=row.id + dagger(row))
    rule = by_others(plan) if row is reported(plan)[0] else None
    return Row(cited(row), cells, rule, plain=row.id)


def row_millions(row: AnyRow) -> float | None:
    """The parameters of a row in millions, counted or quoted; None if unknown."""
    if isinstance(row, QuotedRow):
        return row.published.get("params_m")
    return row.params and row.params / 1e6


def _reported(row: AnyRow, name: str) -> float | None:
    """A number of a quoted row; None for our rows."""
    return row.published.get(name) if isinstance(row, QuotedRow) else None


def quoted(row: ShownRow, metric: str, n_re: int) -> float | None:
    """The paper's value for a row at a depth; a number without a depth is at the trained one."""
    values = row.paper or {}
    if n_re == row.n_re_train and metric in values:
        return values[metric]
    return values.get(f"{metric}.re{n_re}")


def to_tex(table: Table) -> str:
    """A `table*` for booktabs, siunitx, multirow and graphicx, scaled down if it is too wide."""
    filters: Filters = {"tex": _tex_text, "number": _tex_number, "spread": _tex_spread}
    return with_letters(fill("table.tex", filters, table=table))


def to_markdown(table: Table) -> str:
    """A Markdown table with its caption below; the best is bold, the second in italics."""
    lines = [
        _pipes([table.corner, *(column.name for column in table.columns)]),
        _pipes([":--", *["--:"] * len(table.columns)]),
    ]
    for row in table.rows:
        if row.rule:
            lines.append(_pipes([f"*{escape_markdown(row.rule)}*", *[""] * len(table.columns)]))
        lines.append(_pipes([escape_markdown(row.label), *map(_markdown_number, row.cells)]))
    note = escape_markdown(f"{table.caption} Best bold, second in italics.")
    return "\n".join([*lines, "", note, ""])


def to_csv(curves: Sequence[pd.DataFrame], plan: StudyFile) -> str:
    """All curves, one line per row, metric and depth; rows without runs have empty values."""
    curve = pd.concat(curves, ignore_index=True)
    present = set(curve["row"])
    metrics = curve["metric"].unique()
    absent = [
        {
            "label": row.label,
            "n_re_train": row.n_re_train,
            "row": row.id,
            "metric": metric,
            "n_re": n_re,
        }
        for row in plan.rows
        if row.id not in present
        for metric in metrics
        for n_re in plan.evaluate.n_re
    ]
    if absent:
        curve = pd.concat([curve, pd.DataFrame(absent)], ignore_index=True)
    counts = [name for name in curve.columns if name.startswith("n_")]
    curve = curve.astype(dict.fromkeys(counts, "Int64"))
    return curve.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def _depth_columns(
    curve: pd.DataFrame, plan: StudyFile, rows: list[AnyRow], metric: str
) -> list[Column]:
    cells = []
    for n_re in plan.evaluate.n_re:
        lines = [line_at(curve, row.id, n_re) for row in rows]
        texts = [
            fixed(_reported(row, f"{metric}.re{n_re}") if line is None else line["mean"])
            for row, line in zip(rows, lines, strict=True)
        ]
        spreads = [None if line is None else half_width(line) for line in lines]
        keys = [f"{row.id}.{metric}.re{n_re}" for row in rows]
        cells.append((n_re, texts, spreads, _ranks_by_corpus(rows, texts), keys))
    shape = _shape([text for _, texts, *_ in cells for text in texts])
    group = f"{score_heading(metric)} at N_re (inference)"
    return [
        column(
            f"N_re = {n_re}", str(n_re), texts, spreads, best, group=group, shape=shape, keys=keys
        )
        for n_re, texts, spreads, best, keys in cells
    ]


def _ranks_by_corpus(rows: list[AnyRow], texts: list[str | None]) -> list[int]:
    """Ranks among our rows of the same corpus without missing runs."""
    by_row = [0] * len(rows)
    unranked = [row.is_torn or isinstance(row, QuotedRow) for row in rows]
    texts = [None if skip else text for skip, text in zip(unranked, texts, strict=True)]
    for role in {row.role for row in rows}:
        places = [at for at, row in enumerate(rows) if row.role == role]
        for at, rank in zip(places, ranks([texts[at] for at in places]), strict=True):
            by_row[at] = rank
    return by_row


def line_at(curve: pd.DataFrame, row: str, n_re: int) -> pd.Series | None:
    """The line of a curve for a row and depth; None if there is none."""
    lines = curve[(curve["row"] == row) & (curve["n_re"] == n_re)]
    return None if lines.empty else lines.iloc[0]


def column(
    name: str,
    tex: str,
    texts: list[str | None],
    spreads: list[str | None] | None = None,
    best: list[int] | None = None,
    *,
    group: str = "",
    shape: tuple[int, int, bool] | None = None,
    keys: list[str] | None = None,
) -> Column:
    """A column of numbers, wide enough for all of them (or for `shape`)."""
    digits, decimals, signed = shape or _shape(texts)
    width = digits + decimals + (decimals > 0) + signed
    cells = tuple(
        Cell(text, spread, rank, "0" * (width - len(text)) if text else "", key)
        for text, spread, rank, key in zip(
            texts,
            spreads or [None] * len(texts),
            best or [0] * len(texts),
            keys or [""] * len(texts),
            strict=True,
        )
    )
    form = f"S[table-format={'-' * signed}{digits}{f'.{decimals}' if decimals else ''}]"
    return Column(name, tex, form, cells, group)


def _shape(texts: list[str | None]) -> tuple[int, int, bool]:
    """Digits before and after the point, and whether a sign is needed, to fit all numbers."""
    numbers = [text for text in texts if text] or ["0"]
    digits = max(len(text.lstrip("-").split(".")[0]) for text in numbers)
    decimals = max(len(text.partition(".")[2]) for text in numbers)
    return digits, decimals, any(text.startswith("-") for text in numbers)


def ranks(texts: list[str | None]) -> list[int]:
    """1 for the best and 2 for the second as printed, 0 for all others.

    Equal numbers have equal ranks: if two are best, none is second. A single number has no rank.
    """
    numbers = [float(text) for text in texts if text]
    if len(numbers) < 2:
        return [0] * len(texts)
    places = [1 + sum(other > float(text) for other in numbers) if text else 0 for text in texts]
    return [place if place <= 2 else 0 for place in places]


def fixed(value: float | None) -> str | None:
    """A number with two decimals and no negative zero; None if it is not known."""
    if value is None or np.isnan(value):
        return None
    return f"{value:.2f}".replace("-0.00", "0.00")


def in_millions(value: float | None) -> str | None:
    """Parameters in millions: two decimals, or three significant digits below 1."""
    return fixed(value) if value is None or value >= 1 else f"{value:#.3g}"


def half_width(line: pd.Series) -> str | None:
    """Half the width of the interval of a line of a curve."""
    return fixed((line["high"] - line["low"]) / 2)


def _caption(curve: pd.DataFrame, plan: StudyFile, metric: str, paper: bool) -> str:
    texts = [
        f"{score_heading(metric)} by number of reconstructor passes at inference "
        f"({', '.join(basis(plan, curve))})."
    ]
    if curve["low"].notna().any():
        texts.append(f"± is half the width of the 95 % interval over {covered(curve)}.")
    if {row.id for row in plan.rows if row.n_re_train} - set(curve["row"]):
        texts.append(f"A row of {MISSING} has no finished run.")
    if others := reported(plan):
        sources = "; ".join(f"{cited(row)}: {source_of(row)}" for row in others)
        texts.append(f"{by_others(plan)} ({sources}).")
    if paper:
        texts.append("Paper: the published value at the training depth.")
    return " ".join(texts + caveats(plan, curve))


def _tex_text(text: str, plain: str = "") -> str:
    """Text with N_re as the paper prints it, and no line break between a number and its %."""
    return escape_tex(text, plain).replace(r"N\_re", r"$N_\mathrm{re}$").replace(r" \%", r"~\%")


def _tex_number(cell: Cell) -> str:
    """A number for an S column; siunitx cannot align emphasised text, so that is padded here."""
    if cell.text is None:
        return f"{{{MISSING}}}"
    if not cell.rank:
        return escape_tex(cell.text)
    pad = rf"\phantom{{{cell.pad}}}" if cell.pad else ""
    command = (r"\textbf", r"\underline")[cell.rank - 1]
    return f"{{{pad}{command}{{{cell.text.replace('-', '$-$')}}}}}"


def _tex_spread(cell: Cell) -> str:
    return rf"{{\scriptsize$\pm${cell.spread}}}" if cell.spread else ""


def _markdown_number(cell: Cell) -> str:
    if cell.text is None:
        return MISSING
    mark = ("", "**", "*")[cell.rank]
    return f"{mark}{cell.text}{mark}" + (f" ±{cell.spread}" if cell.spread else "")


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
