"""Lists as editors and spreadsheets save them."""

from pathlib import Path

import pytest

from tisdiss.data.lists import list_lines, table_rows

KNOWN = {"speaker": ("spk",), "split": ("set",), "sex": ("gender",)}
ROWS = [{"speaker": "Zoé", "split": "train"}, {"speaker": "bob", "split": "test"}]


def read(path: Path) -> list[dict[str, str]]:
    return [row for _, row in table_rows(path, ("speaker",), KNOWN)]


@pytest.mark.parametrize(
    "text",
    [
        "speaker,split\nZoé,train\nbob,test\n",
        "speaker,split\r\nZoé,train\r\nbob,test",
        "speaker,split\rZoé,train\rbob,test\r",
        "Speaker, Split\nZoé, train\nbob , test\n",
        "speaker;split\nZoé;train\nbob;test\n;\n;\n",
        "speaker\tsplit\n\nZoé\ttrain\nbob\ttest\n\n\n",
        '"speaker","split"\n"Zoé","train"\n"bob","test"\n',
        "speaker,split,\nZoé,train,\nbob,test,\n",
        "sep=;\nspeaker;split\nZoé;train\nbob;test\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_are_read_however_they_are_saved(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "speakers.csv"
    path.write_bytes(text.encode(encoding))
    rows = [{k: row[k] for k in ("speaker", "split")} for row in read(path)]
    assert rows == ROWS


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("speaker,splits", "column 'splits' is not known; call it 'split'"),
        ("speaker,set", "column 'set' is not known; call it 'split'"),
        ("speaker,Splitt", "column 'Splitt' is not known; call it 'split'"),
        ("speaker,gender", "column 'gender' is not known; call it 'sex'"),
        ("spk,split", "column 'spk' is not known; call it 'speaker'"),
        ("name,split", "has no column 'speaker'"),
        ("speaker,split,split", "two columns are called 'split'; keep one"),
    ],
)
def test_columns_that_mean_something_are_called_so(
    tmp_path: Path, header: str, message: str
) -> None:
    path = tmp_path / "speakers.csv"
    path.write_text(f"{header}\na,train,test\n")
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_other_columns_are_free(tmp_path: Path) -> None:
    path = tmp_path / "speakers.csv"
    path.write_text('speaker,split,licence,subset_of\na,train,CC0,"x, y"\n')
    assert read(path) == [{"speaker": "a", "split": "train", "licence": "CC0", "subset_of": "x, y"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"speaker,split\na,train\nd\xe9j\xe0,test\n", "row 3: not UTF-8 text; save the file as"),
        ("speaker,split\n".encode("utf-16-le"), "zero bytes in it"),
        (b"speaker,split\na,train,test\n", "row 2: 3 values for 2 columns; put quotes around"),
        (b"", "has no column 'speaker'"),
        (b'speaker,split\n"a', "row 2: not a table"),
    ],
)
def test_what_is_no_table_is_told_with_its_row(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "speakers.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(table_rows(path, ("speaker",), KNOWN))


def test_lines_have_their_row_and_no_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "mix.txt"
    path.write_bytes("\ufeffone\r\n\r\ntwo".encode())
    assert list(list_lines(path)) == [(f"{path}, row 1", "one"), (f"{path}, row 3", "two")]
