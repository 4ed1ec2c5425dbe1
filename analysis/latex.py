"""LaTeX without TeX: text made safe for it, and a check of what was made.

`check_tex` finds what would stop or garble a compilation, on machines that have no TeX.
"""

import re

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\textquoteleft{}",
    "[": "{[}",  # after the end of a row, "[" and "*" would be read as its arguments
    "*": "{*}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "✓": r"$\surd$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "µ": r"$\mu$",
    "Δ": r"$\Delta$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\dots{}",
    "†": r"$^\dagger$",
}
_LATIN = set("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽž")
"""Letters beyond ASCII that plain LaTeX sets as they are."""


def escape_tex(text: str) -> str:
    """Text that LaTeX prints as it stands; a character that fonts lack shows as its code point."""
    escaped = "".join(_TEX.get(character) or _tex_letter(character) for character in text)
    return re.sub(r"([-'])(?=\1)", r"\1{}", escaped)  # "--" stays two hyphens, not a dash


def _tex_letter(character: str) -> str:
    if character in _LATIN or (character.isascii() and character.isprintable()):
        return character
    return " " if character.isspace() else f"U+{ord(character):04X}"


def check_tex(source: str) -> list[str]:
    """What is wrong with a piece of LaTeX, one message a problem; an empty list if nothing is.

    Checks that braces, environments and mathematics close, that every row of a tabular has the
    columns its preamble declares, and that no special or unknown character stands unescaped.
    """
    text = re.sub(r"(?<!\\)((?:\\\\)*)%[^\n]*", r"\1", source)
    problems = _check_pairs(text)
    problems += _check_characters(text)
    for body in re.finditer(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        problems += _check_rows(body[1])
    return problems


_TOKEN = re.compile(r"\\(?:begin|end)\{[^}]*\}|\\[a-zA-Z]+|\\.|[^\\]", re.DOTALL)
_NAMES = re.compile(r"\\(?:label|ref|cite|input|includegraphics)(?:\[[^\]]*\])?\{[^}]*\}")


def _check_pairs(text: str) -> list[str]:
    problems, stack, math = [], [], False
    for found in _TOKEN.finditer(text):
        token = found[0]
        at = f"line {text.count(chr(10), 0, found.start()) + 1}"
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
    plain = _NAMES.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in _TOKEN.finditer(plain):
        token = found[0]
        at = f"line {plain.count(chr(10), 0, found.start()) + 1}"
        math ^= token == "$"
        columns += (token == r"\begin{tabular}") - (token == r"\end{tabular}")
        if token == "#" or (token in "_^" and not math) or (token == "&" and not columns):
            problems.append(f"{at}: {token} must be escaped")
        elif not token.isascii() and token not in _LATIN:
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
    """How many columns a declaration such as lc*{3}{S[table-format=2.2]}p{2cm} makes."""
    while found := re.search(r"\*\{(\d+)\}", declaration):
        repeated, rest = _braced(declaration[found.end() :])
        declaration = declaration[: found.start()] + int(found[1]) * repeated + rest
    bare = re.sub(r"\[[^\]]*\]|[@!<>]\{[^}]*\}|(?<=[pmb])\{[^}]*\}", "", declaration)
    return len(re.findall(r"[lcrpmbSX]", bare))


def _braced(text: str) -> tuple[str, str]:
    """The content of the brace group that `text` starts with, and what follows it."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:at], text[at + 1 :]
    return text[1:], ""
