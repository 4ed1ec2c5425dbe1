"""From the paper's names, such as "sep1x2-re1x3-l1+3", to settings and back (Sec. 3.1, Table 3).

    sep1x2   M_sep = 1 block, run N_sep = 2 times
    re1x3    M_re = 1 block, run N_re = 3 times; absent without early split
    l1+3     supervised outputs: 1 up to the splitter, then 3 of the reconstructor

Settings are fields of `config.ModelConfig`, which this module does not import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from tisdiss.architectures import ARCHITECTURES, OURS
from tisdiss.codec_kinds import CODEC_KINDS
from tisdiss.depths import Decode, LossTerm, count, resolved
from tisdiss.splitter_kinds import SPLITTER_KINDS

_POSITIVE = r"[1-9]\d{0,5}"
_LABEL = r"\d{1,6}(?:x\d{1,6})?"
_STRUCTURE = (
    rf"sep(?P<m_sep>{_POSITIVE})x(?P<n_sep>{_POSITIVE})"
    rf"(?:-re(?P<m_re>{_POSITIVE})x(?P<n_re>{_POSITIVE}))?"
    rf"(?:-l(?P<losses>{_LABEL}(?:\+{_LABEL})?))?"
)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """The settings that a name states, with the field names of `config.ModelConfig`."""

    architecture: str
    m_sep: int
    n_sep: int
    m_re: int
    n_re: int
    losses: tuple[LossTerm, ...]
    decode_sep: Decode = "auto"
    decode_re: Decode = "auto"
    splitter: str | None = None
    """None if the name has no suffix for it."""
    codec_kind: str | None = None
    """None if the name has no suffix for it."""


class Named(Protocol):
    """The settings of a model that its name shows."""

    architecture: str
    m_sep: int
    n_sep: int
    m_re: int
    n_re: int
    losses: tuple[LossTerm, ...]
    decode_sep: Decode
    decode_re: Decode
    splitter: str


def paper_name(model: Named, codec_kind: str) -> str:
    """The name of a model with a codec of this kind."""
    prefix = "" if model.architecture == OURS else f"{model.architecture}-"
    re_part = f"-re{model.m_re}x{model.n_re}" if model.m_re else ""
    losses = _loss_label(model)
    suffix = SPLITTER_KINDS[model.splitter].suffix + CODEC_KINDS[codec_kind].suffixes[0]
    return f"{prefix}sep{model.m_sep}x{model.n_sep}{re_part}-{losses}{suffix}"


def _loss_label(model: Named) -> str:
    """The numbers of supervised outputs: up to the splitter before the "+", then the rest."""
    decode = resolved(model.decode_sep, model.n_sep)
    ends = count(model.m_sep, model.n_sep, decode) if "sep" in model.losses else 1
    last_only = decode == "last-layers" and model.n_sep > 1
    if not model.m_re:
        passes = 1 if last_only else model.n_sep
        return f"l{ends // passes}x{passes}" if "sep" in model.losses else "l1"
    if "split" not in model.losses:  # the paper has no name for "sep" without "split"
        head = f"{ends - 1}sep+" if ends > 1 else ""
    elif ends == 1:
        head = "1+"
    else:
        head = f"{ends}x1+" if last_only else f"1x{ends}+"
    return f"l{head}{_re_label(model)}"


def _re_label(model: Named) -> str:
    decode = resolved(model.decode_re, model.n_re)
    ends = count(model.m_re, model.n_re, decode) if "re" in model.losses else 1
    if decode == "last-layers" and model.n_re > 1 and ends > 1:
        return f"{ends}x1"
    by_pass = "re" in model.losses and model.m_re > 1 and ends == model.n_re
    return f"1x{ends}" if by_pass else str(ends)


def read_name(name: str) -> Stated:
    """The settings that a name states; ValueError has an example or the valid counts."""
    kinds = {suffix: kind for kind, codec in CODEC_KINDS.items() for suffix in codec.suffixes}
    splitters = {kind.suffix: name for name, kind in SPLITTER_KINDS.items()}
    match = re.fullmatch(
        rf"(?:(?P<architecture>{_any_of(ARCHITECTURES)})-)?{_STRUCTURE}"
        rf"(?P<splitter>{_any_of(splitters)})(?P<codec>{_any_of(kinds)})",
        name.strip().replace("×", "x").lower(),
    )
    if match is None:
        raise ValueError(
            f"{name[:60]!r} is not a model name; one looks like sep1x2-re1x3-l1+3, "
            "sep6x1-l6x1, tf-locoformer-sep3x2-l1x2 or tf-gridnet-sep6x1-l1, with an optional "
            "-spksplitconv2d, -bandsplit or -melbandsplit"
        )
    part = match.groupdict()
    m_sep, n_sep, m_re, n_re = (int(part[key] or 0) for key in ("m_sep", "n_sep", "m_re", "n_re"))
    bare = Stated(
        architecture=part["architecture"] or OURS,
        m_sep=m_sep,
        n_sep=n_sep,
        m_re=m_re,
        n_re=n_re,
        losses=("last", "split", "re") if m_re else ("last",),
        splitter=splitters[part["splitter"]] if part["splitter"] else None,
        codec_kind=kinds[part["codec"]] if part["codec"] else None,
    )
    return bare if part["losses"] is None else _supervised(name, part["losses"], bare)


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words))


def _supervised(name: str, label: str, bare: Stated) -> Stated:
    """The settings `bare` with the loss terms and decoding of a label such as "1+3" or "6x1"."""
    if not bare.m_re:
        if label == "1":
            return bare
        decode = _read_side(name, label, bare.m_sep, bare.n_sep, "separator")
        return replace(bare, losses=("last", "sep"), decode_sep=decode)
    front, _, back = label.rpartition("+")
    decode_sep: Decode = "auto"
    decode_re: Decode = "auto"
    terms: tuple[LossTerm, ...] = ("last",)
    if front:
        terms += ("split",)
    if front not in ("", "1"):
        ends = front.split("x")[1] if front.startswith("1x") else front
        decode_sep = _read_side(name, ends, bare.m_sep, bare.n_sep, "separator")
        terms += ("sep",)
    if back != "1" or (bare.m_re * bare.n_re == 1 and front):
        decode_re = _read_side(name, back, bare.m_re, bare.n_re, "reconstructor")
        terms += ("re",)
    return replace(bare, losses=terms, decode_sep=decode_sep, decode_re=decode_re)


def _read_side(name: str, label: str, blocks: int, passes: int, part: str) -> Decode:
    """The decoding for a count such as "3", "1x3" or "6x1", of `blocks` x `passes`."""
    per_pass, _, times = label.partition("x")
    decoded = int(per_pass) * int(times) if times else int(per_pass)
    if decoded == blocks * passes and (not times or int(times) == passes):
        return "auto" if blocks == 1 or passes == 1 else "layers"
    if decoded == passes and (not times or int(per_pass) == 1):
        return "auto" if passes > 1 else "repetitions"
    if times == "1" and decoded == blocks:
        return "last-layers"
    counts = {passes: "the end of each pass", blocks * passes: "every block"}
    ways = " or ".join(f"{ends} ({what})" for ends, what in counts.items())
    raise ValueError(
        f"{name!r}: 'l{label}' does not fit the {part} of {blocks} x {passes} (blocks x passes), "
        f"where {ways} can be decoded"
    )
