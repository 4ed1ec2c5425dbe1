"""Depths of a model: blocks, repetitions, and which outputs training decodes (Sec. 2.1, 2.2).

A stage has m blocks and runs them n times with the same weights: m * n blocks in a row. Only this
module converts between blocks and repetitions.
"""

from typing import Literal, NamedTuple

Stage = Literal["sep", "split", "re"]
LossTerm = Literal["last", "sep", "split", "re"]
Decode = Literal["auto", "repetitions", "layers", "last-layers"]


class Depth(NamedTuple):
    """A place in the network whose features can be decoded."""

    stage: Stage
    n_sep: int
    """Number of the separator's pass, from 1; after the separator, the number of its passes."""
    n_re: int
    """Number of the reconstructor's pass, from 1; 0 before the reconstructor."""
    block: int
    """Blocks of the stage that ran before this one, over all passes: 0 for the first."""

    @property
    def name(self) -> str:
        """Stage and block counted from 1, such as "sep1", "split2" or "re3"."""
        return f"{self.stage}{self.block + 1}"


def sep_depths(m_sep: int, n_sep: int) -> list[Depth]:
    """The depths after each block of the separator, in the order of execution."""
    return [Depth("sep", block // m_sep + 1, 0, block) for block in range(m_sep * n_sep)]


def re_depths(m_re: int, n_sep: int, n_re: int) -> list[Depth]:
    """The depths after each block of the reconstructor, which follows `n_sep` separator passes."""
    return [Depth("re", n_sep, block // m_re + 1, block) for block in range(m_re * n_re)]


def ends_pass(depth: Depth, m: int) -> bool:
    """Whether the depth is the end of a pass of a stage with `m` blocks."""
    return (depth.block + 1) % m == 0


def selected(depths: list[Depth], decode: Decode, m: int) -> list[Depth]:
    """The depths of a stage with `m` blocks that `decode` selects; always includes the last."""
    match decode:
        case "layers":
            return depths
        case "last-layers":
            return depths[-m:]
    return [depth for depth in depths if ends_pass(depth, m)]


def resolved(decode: Decode, passes: int) -> Decode:
    """`decode` without "auto", which means every block of a single pass, else the end of each."""
    if decode != "auto":
        return decode
    return "layers" if passes == 1 else "repetitions"


def count(m: int, passes: int, decode: Decode) -> int:
    """How many depths of a stage `decode` selects."""
    return len(selected(sep_depths(m, passes), resolved(decode, passes), m))
