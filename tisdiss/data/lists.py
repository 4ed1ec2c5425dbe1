"""Reads lists and tables as editors and spreadsheets save them.

Tables may have commas, semicolons or tabs between their columns, spaces around names and any case
in their first row. A ValueError gives the file, the row and the remedy.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_DELIMITERS = ",;\t"


def list_text(path: Path) -> str:
    """The text of a list, with every line ending a newline; ValueError if it is not text."""
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, row {row}: not UTF-8 text; save the file as UTF-8") from error
    if "\0" in text:
        raise ValueError(f"{path}: not UTF-8 text (zero bytes in it); save the file as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def list_lines(path: Path) -> Iterator[tuple[str, str]]:
    """("file, row n", line) of each line that is not blank."""
    for number, line in enumerate(list_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}, row {number}", line


def table_rows(
    path: Path, needed: tuple[str, ...], known: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """("file, row n", row) of each row of a table, without spaces around names and values.

    `needed` columns are required. `known` maps each column that is used to other names that people
    give it; a column with such a name, or a similar one, is refused. Further columns are allowed.
    """
    text = list_text(path)
    if text[:4].lower() == "sep=":  # this line tells Excel the delimiter
        text = "\n" + text.partition("\n")[2]
    header = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    columns: list[str] = []
    for values in _parsed(path, reader):
        values = [value.strip() for value in values]
        if not any(values):
            continue
        place = f"{path}, row {reader.line_num}"
        if not columns:
            columns = _columns(place, values, needed, known or {})
            continue
        if len(values) > len(columns) and any(values[len(columns) :]):
            raise ValueError(
                f"{place}: {len(values)} values for {len(columns)} columns; put quotes around a "
                f"value that has {delimiter!r} in it"
            )
        values += [""] * (len(columns) - len(values))
        yield place, dict(zip(columns, values, strict=False))
    if not columns:
        raise ValueError(f"{path} has no column {needed[0]!r}; its first row names the columns")


def composed(name: str) -> str:
    """The name in Unicode form NFC without outer spaces, so that equal looks mean equal names."""
    return unicodedata.normalize("NFC", name.strip())


def find_list(folder: Path, name: str) -> Path:
    """The file of that name in any case; `folder / name` if there is none."""
    if not (folder / name).exists():
        matches = [path for path in folder.iterdir() if path.name.lower() == name]
        return min(matches, default=folder / name)
    return folder / name


def _parsed(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise ValueError(f"{path}, row {line}: not a table ({error}); correct the row") from error


def _columns(
    place: str, names: list[str], needed: tuple[str, ...], known: Mapping[str, tuple[str, ...]]
) -> list[str]:
    lower = [name.casefold() for name in names]
    used = {*needed, *known}
    columns = [low if low in used else name for low, name in zip(lower, names, strict=True)]
    for name in columns:
        if name and columns.count(name) > 1:
            raise ValueError(f"{place}: two columns are called {name!r}; keep one")
        _check_column(place, name, columns, used, known)
    for name in needed:
        if name not in columns:
            file = place.rpartition(",")[0]
            raise ValueError(f"{file} has no column {name!r}; its first row names the columns")
    return columns


def _check_column(
    place: str,
    name: str,
    columns: list[str],
    used: set[str],
    known: Mapping[str, tuple[str, ...]],
) -> None:
    if name in used:
        return
    low = name.casefold()
    near = [right for right, others in known.items() if low in others]
    near = near or get_close_matches(low, sorted(used), n=1, cutoff=0.7)
    if near and near[0] not in columns:
        raise ValueError(f"{place}: column {name!r} is not known; call it {near[0]!r}")
