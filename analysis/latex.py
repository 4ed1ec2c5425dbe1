"""Text of any script as LaTeX: escaped, with letters that a font or an encoding may lack."""

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
LATIN = set("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽž")
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
CALL = r"\tisdissletters"
"""The macro of `LETTERS`; its last argument replaces the letters."""


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
    return LETTERS + tex if CALL in tex else tex


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
    if letters in LATIN or (letters.isascii() and letters.isprintable()):
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
    return f"{CALL}{{{letters}}}{{{first}}}{{{encoding}}}{{{replacement}}}"
