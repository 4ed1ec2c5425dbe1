"""Installed fonts for the letters that the paper's own fonts lack."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

_REGULAR = (400, 500, "normal", "regular", "medium")
_HAN = {"JP": r"[\u3040-\u30ff]", "KR": r"[\u1100-\u11ff\uac00-\ud7af]"}
"""Regions by letters that only they have; the region selects the form of shared Han characters."""
_BOXES = "Last Resort"
"""A font that draws a box for every letter."""
_TRUETYPE = (1, 0)
"""Version of the table `maxp` of a TrueType font; only TrueType can be embedded in a PDF."""


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress matplotlib's warnings about single letters; `unprintable` reports them once."""
    logger = logging.getLogger(font_manager.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            yield
    finally:
        logger.setLevel(level)


def further_families(text: str, families: Iterable[str]) -> list[str]:
    """Installed families that together have the letters of a text missing from `families`."""
    return [name for name, _ in _chosen(_lacking(text, tuple(families)), _region(text))]


def unprintable(text: str, families: Iterable[str]) -> str:
    """The letters of a text that no font of this machine has."""
    lacking = _lacking(text, tuple(families))
    available = {letter for _, has in _chosen(lacking, _region(text)) for letter in has}
    return "".join(sorted(lacking - available))


def can_embed(family: str) -> bool:
    """Whether a PDF can hold the font as TrueType."""
    table = _font(family).get_sfnt_table("maxp")
    return table is not None and table["version"] == _TRUETYPE


def _lacking(text: str, families: tuple[str, ...]) -> frozenset[str]:
    beyond = {letter for letter in text if not letter.isascii() and letter.isprintable()}
    return frozenset(beyond - set().union(*map(_letters, families))) if beyond else frozenset()


@cache
def _chosen(lacking: frozenset[str], region: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """A few families that have most of the letters, best first, with the letters of each."""
    chosen = []
    if not lacking:
        return ()
    installed = sorted({font.name for font in font_manager.fontManager.ttflist if _is_plain(font)})
    letters_of = {name: has for name in installed if (has := lacking & _letters(name))}
    while lacking and letters_of:
        best = max(letters_of, key=lambda name: (len(letters_of[name]), *_merits(name, region)))
        chosen.append((best, letters_of[best]))
        lacking -= letters_of[best]
        letters_of = {name: left for name, has in letters_of.items() if (left := has & lacking)}
    return tuple(chosen)


def _merits(name: str, region: str) -> tuple[bool, ...]:
    return can_embed(name), "Mono" not in name, "Serif" in name or "Ming" in name, region in name


def _region(text: str) -> str:
    return next((name for name, letters in _HAN.items() if re.search(letters, text)), "SC")


def _is_plain(font: font_manager.FontEntry) -> bool:
    return font.style == "normal" and font.weight in _REGULAR and _BOXES not in font.name


@cache
def _letters(family: str) -> frozenset[str]:
    return frozenset(map(chr, _font(family).get_charmap()))


@cache
def _font(family: str) -> FT2Font:
    return font_manager.get_font(font_manager.findfont(FontProperties(family=[family])))
