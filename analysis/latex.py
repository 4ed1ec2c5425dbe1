"""LaTeX without TeX: escapes text, and checks LaTeX source on machines without TeX.

`check_tex` finds mistakes that would stop a compilation or spoil its result.
"""

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby


def _pairs(words: str) -> dict[str, str]:
    """{"a": "b", "c": "d"} from "a b c d"."""
    return dict(zip(words.split()[::2], words.split()[1::2], strict=True))


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
    "[": "{[}",  # after the end of a row, TeX reads "[" and "*" as arguments of the line break
    "*": "{*}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "✓": r"$\surd$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\dots{}",
    "†": r"$^\dagger$",
}
_MATH = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ϵ": "epsilon",
    "ζ": "zeta", "η": "eta", "θ": "theta", "ϑ": "vartheta", "ι": "iota", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "ς": "varsigma", "τ": "tau", "υ": "upsilon", "φ": "varphi", "ϕ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "∆": "Delta",
    "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "∞": "infty", "≠": "neq", "≈": "approx",
    "≡": "equiv", "∼": "sim", "≪": "ll", "≫": "gg", "∝": "propto", "∂": "partial",
    "∇": "nabla", "∑": "sum", "∏": "prod", "∫": "int", "∈": "in", "∉": "notin",
    "∀": "forall", "∃": "exists", "∅": "emptyset", "⊂": "subset", "⊆": "subseteq", "∪": "cup",
    "∩": "cap", "∧": "wedge", "∨": "vee", "¬": "neg", "÷": "div", "·": "cdot", "⋅": "cdot",
    "∘": "circ", "√": "surd", "∥": "parallel", "‖": "parallel", "⊕": "oplus", "⊗": "otimes",
    "←": "leftarrow", "↑": "uparrow", "↓": "downarrow", "↔": "leftrightarrow",
    "⇐": "Leftarrow", "⇒": "Rightarrow", "⇔": "Leftrightarrow", "↦": "mapsto",
    "⟨": "langle", "⟩": "rangle", "★": "star", "•": "bullet", "◦": "circ", "∓": "mp",
    "✗": "times", "✕": "times",
}  # fmt: skip
_TEX |= {sign: rf"$\{name}$" for sign, name in _MATH.items()}
_TEX |= dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
_TEX |= {sign: f"$^{power}$" for power, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_TEX |= {sign: f"$_{index}$" for index, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_TEX |= {
    "✔": r"$\surd$",
    "°": r"$^\circ$",
    "′": r"$'$",
    "″": r"$''$",
    "‰": r"{\textperthousand}",
    "€": r"{\texteuro}",
    "£": r"\pounds{}",
    "©": r"\copyright{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "¡": "{!`}",
    "¿": "{?`}",
    "ı": r"\i{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "‐": "-",
    "‑": "-",
    "―": r"\textemdash{}",
    "‡": r"$^\ddagger$",
    "⁄": "/",
}
_LATIN = set("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽž")
"""Letters beyond ASCII that plain LaTeX sets as they are."""
_ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0331",
        ("`", "'", "^", "~", "=", "u", ".", '"', "r", "H", "v", "d", "c", "b"),
        strict=True,
    )
)
_ROMAN = {
    "T1": _pairs(
        "Ą A ą a Ę E ę e Į I į i Ų U ų u Đ D đ d Ð D ð d Ŋ N ŋ n Þ Th þ th « << » >> ‹ < › > „ ,,"
    ),
    "T2A": _pairs(
        "а a б b в v г g д d е e ё yo ж zh з z и i й y к k л l м m н n о o п p р r с s т t у u ф f "
        "х kh ц ts ч ch ш sh щ shch ъ ' ы y ь ' э e ю yu я ya і i ї yi є ye ґ g ў u ђ dj ћ c љ lj "
        "њ nj џ dz ј j ѕ dz ә a ғ g қ q ң n ө o ұ u ү u һ h"
    ),
}
"""Letters that LaTeX has in a further encoding, with their forms without it."""
_ROMAN["T2A"] |= {key.upper(): text.capitalize() for key, text in _ROMAN["T2A"].items()}
_NONE = "none"
"""Stands for the encoding of letters that only Unicode engines may have."""

LETTERS = r"""% Letters as they are, where a font or an encoding has them; else the last argument.
\def\tisdissletters#1#2#3#4{\ifcsname T@TU\endcsname
  \iffontchar\font#2\relax#1\else#4\fi
  \else\ifcsname T@#3\endcsname{\fontencoding{#3}\selectfont#1}\else#4\fi\fi}
"""
"""The definition that a document needs for letters beyond LaTeX's own in text of `escape_tex`."""
_CALL = r"\tisdissletters"


def escape_tex(text: str, plain: str = "") -> str:
    r"""Text escaped for LaTeX, with any engine.

    Letters beyond its own fonts are in a \tisdissletters (see `LETTERS`) with a replacement.
    Cyrillic is replaced by Latin letters. For other scripts, `plain` replaces the whole text;
    without `plain`, dots replace the letters.
    """
    clusters = [_Cluster.of(letters) for letters in _CLUSTER.findall(text)]
    if plain and any(cluster.encoding and not cluster.tex for cluster in clusters):
        escaped = _other(clusters, _NONE, escape_tex(plain))
    else:
        runs = groupby(clusters, key=lambda cluster: cluster.encoding)
        escaped = "".join(_run(list(run), encoding) for encoding, run in runs)
    return re.sub(r"([-'])(?=\1)", r"\1{}", escaped)  # "--" stays two hyphens, not a dash


def with_letters(tex: str) -> str:
    """LaTeX source, with the definition of \tisdissletters if it uses it."""
    return LETTERS + tex if _CALL in tex else tex


_CLUSTER = re.compile(r".[\u0300-\u036f]*", re.DOTALL)


@dataclass(frozen=True)
class _Cluster:
    """A letter with its accents, as Unicode and as LaTeX."""

    letters: str
    tex: str
    encoding: str = ""
    """The encoding that it needs; empty for letters that LaTeX always has."""

    @staticmethod
    def of(letters: str) -> "_Cluster":
        composed = unicodedata.normalize("NFC", letters)
        own = _own(composed)
        if own is not None:
            return _Cluster(composed, own)
        for encoding, roman in _ROMAN.items():
            if composed in roman:
                return _Cluster(composed, roman[composed], encoding)
        base = unicodedata.normalize("NFD", letters)[0]
        return _Cluster(composed, base if base.isascii() else "", _NONE)


def _own(letters: str) -> str | None:
    """A letter with its accents as LaTeX; None if LaTeX needs a further encoding for it."""
    if letters in _TEX:
        return _TEX[letters]
    if letters in _LATIN or (letters.isascii() and letters.isprintable()):
        return letters
    if not letters.isprintable():
        return " " if letters.isspace() else ""
    base, *marks = list(unicodedata.normalize("NFD", letters))
    if marks and _ACCENTS.keys() >= {*marks} and (accented := _own(base)) is not None:
        for mark in marks:
            accented = rf"\{_ACCENTS[mark]}{{{accented}}}"
        return accented
    simpler = unicodedata.normalize("NFKC", letters)
    parts = [_own(part) for part in simpler] if simpler != letters else [None]
    return None if None in parts else "".join(part or "" for part in parts)


def _run(clusters: list[_Cluster], encoding: str) -> str:
    """LaTeX for consecutive letters that need the same encoding."""
    if not encoding:
        return "".join(cluster.tex for cluster in clusters)
    roman = "".join(escape_tex(cluster.tex) for cluster in clusters)
    return _other(clusters, encoding, roman or r"\dots{}")


def _other(clusters: list[_Cluster], encoding: str, replacement: str) -> str:
    """A call of \\tisdissletters: letters, code of the first one, encoding, replacement."""
    letters = "".join(c.letters if c.encoding else c.tex for c in clusters)
    first = next(ord(cluster.letters[0]) for cluster in clusters if cluster.encoding == encoding)
    return f"{_CALL}{{{letters}}}{{{first}}}{{{encoding}}}{{{replacement}}}"


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
    before, *calls = text.split(_CALL)
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
