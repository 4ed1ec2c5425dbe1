"""YAML text as plain data with its places, and the errors for refused text."""

import pytest

from tisdiss.records.problems import DocumentError, Problem, nearest
from tisdiss.study.document import MAX_ALIASES, parse_document, read_document


def parse(text):
    return parse_document(text, name="s.yaml")


def problems(text):
    document = parse(text)
    return document.lines(document.problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        ("-3", -3),
        ("012", 12),
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("1..4", [1, 2, 3, 4]),
        ("'1..4'", "1..4"),
        ("[1..3, 8]", [1, 2, 3, 8]),
    ],
)
def test_scalars_mean_what_a_person_means(text, value):
    assert parse(f"a: {text}").data == {"a": value}


def test_doubled_key_is_refused_with_both_lines():
    assert problems("a: 1\nb: 2\na: 3\n") == [
        "s.yaml:3:1: 'a': this key was already given in line 1"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'a: 1\nb: "ring\\x07"',
            "s.yaml:2:4: 'ring\\x07': '\\x07': no visible character; remove it",
        ),
        ('- "x\\u202ey"', "s.yaml:1:3: 'x\\u202ey': '\\u202e': no visible character; remove it"),
        ('"k\\e": 1', "s.yaml:1:1: 'k\\x1b': '\\x1b': no visible character; remove it"),
        ('a: "\\ud800"', "s.yaml:1:4: '\\ud800': '\\ud800': no visible character; remove it"),
        ("a: x\u200by", "s.yaml:1:4: 'x\\u200by': '\\u200b': no visible character; remove it"),
    ],
)
def test_what_cannot_be_seen_is_refused_with_its_place(text, line):
    assert problems(text) == [line]


def test_a_raw_control_character_is_refused_with_its_place():
    with pytest.raises(DocumentError, match=r"^s\.yaml:2:6: '\\x07': no visible character; remove"):
        parse("a: 1\nb: xy\x07")


def test_letters_signs_and_lines_of_every_script_are_read():
    text = '\ufeffa: >-\n  普通話 λ→∞\n  नमस्ते\u200d 👩\u200d🔬 \u0301é\nb: "tab\\tend\\n"\r\n'
    read = {"a": "普通話 λ→∞ नमस्ते\u200d 👩\u200d🔬 \u0301é", "b": "tab\tend\n"}
    assert parse(text).data == read and not problems(text)


@pytest.mark.parametrize("text", ["4..1", "1..5000"])
def test_bad_range_is_refused(text):
    assert problems(f"n: {text}") == [
        f"s.yaml:1:4: '{text}': a range a..b needs a <= b and at most 1000 numbers"
    ]


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [ls]", "!x 1", "!!set {a: 1}"])
def test_tags_are_refused(text):
    (line,) = problems(f"a: {text}")
    assert line.startswith("s.yaml:1:4: ") and "tags are not used" in line


def test_merge_keys_are_plain_keys():
    assert parse("<<: {a: 1}").data == {"<<": {"a": 1}}


def test_infinite_number_is_refused():
    assert problems("a: 1e999") == ["s.yaml:1:4: '1e999': not a finite number"]


def test_syntax_error_names_its_place():
    with pytest.raises(DocumentError, match=r"s\.yaml:2:2: not YAML"):
        parse("a: [1, 2\nb: 3")


def test_second_document_is_refused():
    with pytest.raises(DocumentError, match="not YAML"):
        parse("a: 1\n---\nb: 2\n")


def test_alias_bomb_is_refused():
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for old, new in ("ab", "bc", "cd", "de", "ef", "fg"):
        text += f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    with pytest.raises(DocumentError, match="too large"):
        parse(text)


def test_too_many_aliases_are_refused():
    text = "a: &a 1\nb: [" + ", ".join(["*a"] * (MAX_ALIASES + 1)) + "]"
    with pytest.raises(DocumentError, match="more than 64 aliases"):
        parse(text)


def test_alias_of_itself_is_refused():
    with pytest.raises(DocumentError, match="at most 24 levels"):
        parse("a: &a [*a]")


def test_large_file_is_refused(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("# " + "x" * 300_000)
    with pytest.raises(DocumentError, match="at most 262144 bytes"):
        read_document(path)


def test_absent_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DocumentError, match=r"none\.yaml: cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")


def test_a_missing_place_is_located_at_what_is_around_it():
    document = parse("rows:\n  - {id: a}\n")
    assert document.lines([Problem(("rows", 0, "model", "x"), "v", "bad")]) == [
        "s.yaml:2:5: 'v': bad"
    ]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("model.n_ree", "nearest valid name: 'model.n_re'"),
        ("n_re", "nearest valid name: 'model.n_re'"),
        ("losses", "nearest valid name: 'model.losses'"),
        ("zebra", "valid names: batch_size, model.losses, model.n_re, model.n_sep"),
    ],
)
def test_nearest_name(value, hint):
    names = ["model.n_re", "model.n_sep", "model.losses", "batch_size"]
    assert nearest(value, names) == hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "9" * 400, "1:4: '9"),
        ("a: " + "9" * 300 + ".." + "9" * 301, "1:4: '9"),
        ("a: [" + ", ".join(["1..1000"] * 6) + "]", "too large: a file holds at most 5000 values"),
        ("- " * 2000, "not YAML: more than 24 levels"),
        ("\n".join(f"k{k}: 1" for k in range(6000)), "too large: a file holds at most 5000 values"),
    ],
)
def test_numbers_and_lists_have_an_end(text, said):
    try:
        lines = problems(text)
    except DocumentError as error:
        lines = error.lines
    assert said in lines[0] and len(lines[0]) < 200


def test_no_more_mistakes_are_told_than_anybody_reads():
    document = parse("a: 1")
    lines = document.lines([Problem(("a",), k, "wrong") for k in range(150)])
    assert len(lines) == 101 and lines[-1] == "s.yaml: 50 more mistakes"


def test_names_are_compared_as_far_as_that_is_quick():
    names = [f"name{k}" for k in range(601)]
    assert nearest("name7x", names[:600]) == "nearest valid name: 'name7'"
    assert nearest("name7x", names).startswith("valid names: name0, name1, ")
