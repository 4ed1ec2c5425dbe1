"""Tables of scores: one `Table`, printed as LaTeX (booktabs, siunitx), Markdown or CSV."""

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
from tisdiss.records.names import SI_SNRI, score_label
from tisdiss.records.plan_record import QuotedRow, ShownRow, StudyFile

MISSING = "--"

AnyRow = ShownRow | QuotedRow


@dataclass(frozen=True)
class Cell:
    """One number as printed; `text` is None where runs are missing."""

    text: str | None
    spread: str | None = None
    """Half the width of the interval."""
    rank: int = 0
    """1 for the best of its column, 2 for the second."""
    pad: str = ""
    """Characters by which the widest number of the column is longer."""
    key: str = ""
    """Where the number comes from: its name in the provenance, such as "l3.si_snri.re3"."""


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading in Markdown and in LaTeX, and its siunitx format."""

    name: str
    tex: str
    format: str
    cells: tuple[Cell, ...]
    group: str = ""
    """A heading above, shared with the neighbours of the same group; Markdown puts it before."""

    @property
    def short(self) -> str:
        """The heading below that of its group, where there is one."""
        return self.name.removeprefix(self.group).removeprefix("N_re = ").strip() or self.name


@dataclass(frozen=True)
class Row:
    """One variant of the study."""

    label: str
    cells: tuple[Cell, ...]
    rule: str | None = None
    """What a rule above the row says; None for no rule, empty for a bare one."""
    plain: str = ""
    """Instead of the label where LaTeX has not its letters."""

    @property
    def has_spread(self) -> bool:
        """Whether any number of the row has an interval."""
        return any(cell.spread for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """A table, decided to the last digit but not yet in any markup."""

    study: str
    profile: str
    study_hash: str
    name: str
    """What the label in LaTeX is made of; unlike in all tables of a document."""
    heading: str
    """Above the first column."""
    corner: str
    """The same in Markdown, where it may say more."""
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, int, int]]:
        """Headings over several columns: text, first and last column, the label's being 1."""
        spans: list[tuple[str, int, int]] = []
        for at, column in enumerate(self.columns, start=2):
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1], at)
            else:
                spans.append((column.group, at, at))
        return spans if any(column.group for column in self.columns) else []


def depth_table(curve: pd.DataFrame, plan: StudyFile, *, metric: str = SI_SNRI) -> Table:
    """Every row of the plan against inference depth, from `stats.depth_curve`.

    A row that is not in `curve` has no runs and prints as missing. What others reported follows, in
    a column of its own where it is not of one depth. At profile paper, the value that the paper
    gives at the training depth has one too; elsewhere it would mislead.
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
        study_hash=plan.study_hash[:10],
        name=plan.study,
        heading="Variant",
        corner=f"{score_label(metric)} [dB]",
        caption=_caption(curve, plan, metric, at_paper),
        columns=tuple(columns),
        rows=tuple(_row(row, c, plan) for row, c in zip(rows, cells, strict=True)),
    )


def _row(row: AnyRow, cells: tuple[Cell, ...], plan: StudyFile) -> Row:
    """A line of the table; a rule stands above the first that others reported."""
    if isinstance(row, ShownRow):
        return Row(row_label(row, plan), cells, plain=row.id + dagger(row))
    rule = by_others(plan) if row is reported(plan)[0] else None
    return Row(cited(row), cells, rule, plain=row.id)


def row_millions(row: AnyRow) -> float | None:
    """The parameters of a row, ours or reported."""
    if isinstance(row, QuotedRow):
        return row.published.get("params_m")
    return row.params and row.params / 1e6


def _reported(row: AnyRow, name: str) -> float | None:
    """A number that others reported; None for rows of ours."""
    return row.published.get(name) if isinstance(row, QuotedRow) else None


def quoted(row: ShownRow, metric: str, n_re: int) -> float | None:
    """What the paper gives for a row at a depth; a number without one is for the trained depth."""
    values = row.paper or {}
    if n_re == row.n_re_train and metric in values:
        return values[metric]
    return values.get(f"{metric}.re{n_re}")


def to_tex(table: Table) -> str:
    """A `table*` for booktabs, siunitx, multirow, graphicx; too wide, it is scaled to fit."""
    filters: Filters = {"tex": _tex_text, "number": _tex_number, "spread": _tex_spread}
    return with_letters(fill("table.tex", filters, table=table))


def to_markdown(table: Table) -> str:
    """A pipe table with its caption below: best bold, second in italics."""
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
    there = set(curve["row"])
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
        if row.id not in there
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
    group = f"{score_label(metric)} [dB] at N_re (inference)"
    return [
        column(
            f"N_re = {n_re}", str(n_re), texts, spreads, best, group=group, shape=shape, keys=keys
        )
        for n_re, texts, spreads, best, keys in cells
    ]


def _ranks_by_corpus(rows: list[AnyRow], texts: list[str | None]) -> list[int]:
    """Ranks among our rows of the same corpus that have all their runs."""
    by_row = [0] * len(rows)
    unranked = [row.is_torn or isinstance(row, QuotedRow) for row in rows]
    texts = [None if skip else text for skip, text in zip(unranked, texts, strict=True)]
    for role in {row.role for row in rows}:
        places = [at for at, row in enumerate(rows) if row.role == role]
        for at, rank in zip(places, ranks([texts[at] for at in places]), strict=True):
            by_row[at] = rank
    return by_row


def line_at(curve: pd.DataFrame, row: str, n_re: int) -> pd.Series | None:
    """The line of a curve for a row and depth, if it is there."""
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
    there = [text for text in texts if text] or ["0"]
    digits = max(len(text.lstrip("-").split(".")[0]) for text in there)
    decimals = max(len(text.partition(".")[2]) for text in there)
    return digits, decimals, any(text.startswith("-") for text in there)


def ranks(texts: list[str | None]) -> list[int]:
    """1 for the best and 2 for the second as printed, 0 for all others.

    Equals are alike: where two are best, none is second. A lone number has no rank.
    """
    there = [float(text) for text in texts if text]
    if len(there) < 2:
        return [0] * len(texts)
    places = [1 + sum(other > float(text) for other in there) if text else 0 for text in texts]
    return [place if place <= 2 else 0 for place in places]


def fixed(value: float | None) -> str | None:
    """Two decimals, and no negative zero; None for what is not known."""
    if value is None or np.isnan(value):
        return None
    return f"{value:.2f}".replace("-0.00", "0.00")


def in_millions(value: float | None) -> str | None:
    """Parameters [M]: two decimals, three digits where these would hide a difference."""
    return fixed(value) if value is None or value >= 1 else f"{value:#.3g}"


def half_width(line: pd.Series) -> str | None:
    """Half the width of the interval of a line of a curve."""
    return fixed((line["high"] - line["low"]) / 2)


def _caption(curve: pd.DataFrame, plan: StudyFile, metric: str, paper: bool) -> str:
    texts = [
        f"{score_label(metric)} [dB] by number of reconstructor passes at inference "
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
    """Words, with N_re as the paper prints it, and no line between a number and its %."""
    return escape_tex(text, plain).replace(r"N\_re", r"$N_\mathrm{re}$").replace(r" \%", r"~\%")


def _tex_number(cell: Cell) -> str:
    """A number for an S column; emphasis hides it from siunitx, so it is padded by hand."""
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
