"""Finds mistakes in LaTeX source that would stop a compilation or spoil it, without TeX."""

import re

from tisdiss.analysis.latex import CALL, LATIN, LETTERS


def check_tex(source: str) -> list[str]:
    """The problems of a piece of LaTeX, one message each; an empty list if there are none.

    Checks that braces, environments and mathematics are closed, that every row of a tabular has the
    declared number of columns, and that no special or unknown character is unescaped.
    """
    text = re.sub(r"(?<!\\)((?:\\\\)*)%[^\n]*", r"\1", source.replace(LETTERS, ""))
    problems = _check_pairs(text)
    problems += _check_characters(_without_letters(text))
    for body in re.finditer(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        problems += _check_rows(body[1])
    return problems


def _without_letters(text: str) -> str:
    """LaTeX source without the letters in calls of \\tisdissletters."""
    before, *calls = text.split(CALL)
    return "".join([before, *(_braced(call)[1] for call in calls)])


_TOKEN = re.compile(r"\\(?:begin|end)\{[^}]*\}|\\[a-zA-Z]+|\\.|[^\\]", re.DOTALL)
_NAMES = re.compile(r"\\(?:label|ref|cite|input|includegraphics)(?:\[[^\]]*\])?\{[^}]*\}")


def _check_pairs(text: str) -> list[str]:
    problems, stack, math = [], [], False
    for match in _TOKEN.finditer(text):
        token = match[0]
        at = f"line {text.count(chr(10), 0, match.start()) + 1}"
        if token == "$":
            math = not math
        elif token == "{" or token.startswith(r"\begin{"):
            stack.append((token, at))
        elif token == "}" or token.startswith(r"\end{"):
            opener = "{" if token == "}" else token.replace(r"\end", r"\begin")
            if not stack or stack[-1][0] != opener:
                problems.append(f"{at}: {token} closes nothing that is open")
            else:
                stack.pop()
    problems += [f"{at}: {token} is never closed" for token, at in stack]
    return problems + (["an odd number of $: mathematics is never closed"] if math else [])


def _check_characters(text: str) -> list[str]:
    problems, math, columns = [], False, 0
    plain = _NAMES.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _TOKEN.finditer(plain):
        token = match[0]
        at = f"line {plain.count(chr(10), 0, match.start()) + 1}"
        math ^= token == "$"
        columns += (token == r"\begin{tabular}") - (token == r"\end{tabular}")
        if token == "#" or (token in "_^" and not math) or (token == "&" and not columns):
            problems.append(f"{at}: {token} must be escaped")
        elif not token.isascii() and token not in LATIN:
            problems.append(f"{at}: U+{ord(token[-1]):04X} has no glyph in LaTeX's own fonts")
    return problems


def _check_rows(body: str) -> list[str]:
    """`body` starts at the tabular's column declaration."""
    declaration, rest = _braced(body.lstrip())
    expected = _columns(declaration)
    rest = re.sub(r"\\(?:top|mid|bottom)rule\b|\\cmidrule(?:\([lr]+\))?\{[^}]*\}", "", rest)
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", rest) if row.strip()]
    problems = []
    for row in rows:
        spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
        columns = len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) - len(spans)
        if columns != expected:
            problems.append(f"{columns} columns instead of {expected} in row: {row.strip()}")
    return problems


def _columns(declaration: str) -> int:
    """The number of columns in a declaration such as lc*{3}{S[table-format=2.2]}p{2cm}."""
    while match := re.search(r"\*\{(\d+)\}", declaration):
        repeated, rest = _braced(declaration[match.end() :])
        declaration = declaration[: match.start()] + int(match[1]) * repeated + rest
    bare = re.sub(r"\[[^\]]*\]|[@!<>]\{[^}]*\}|(?<=[pmb])\{[^}]*\}", "", declaration)
    return len(re.findall(r"[lcrpmbSX]", bare))


def _braced(text: str) -> tuple[str, str]:
    """The content of the brace group that `text` starts with, and what follows it."""
    depth = 0
    for match in re.finditer(r"\\.|[^\\]", text, re.DOTALL):
        depth += (match[0] == "{") - (match[0] == "}")
        if depth == 0:
            return text[1 : match.start()], text[match.end() :]
    return text[1:], ""
