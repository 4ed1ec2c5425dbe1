"""Maps a released state dict to our parameters: each released tensor has a slot.

A file may hold more than a state dict, such as a whole training state, and a wrapper may have
prefixed its names. The weights are found and the prefixes removed if that is unambiguous. Nothing
in a file is executed.
"""

import argparse
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tisdiss.records.files import brief

Arrays = Mapping[str, Tensor | np.ndarray]

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Name parts that DataParallel, torch.compile and others insert; released names have none."""
_COUNTERS = {"n_averaged"}
"""Entries that wrappers keep beside the weights."""
_WHOLE = "the whole"
_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    *(argparse.Namespace, datetime.timedelta, np.dtype),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64, np.bool_)),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Classes that training states hold beside tensors, for hyperparameters, times and numbers."""


class Slot(NamedTuple):
    """The place of a released tensor: a view of our parameter, and the released shape."""

    tensor: Tensor
    shape: tuple[int, ...]
    role: Literal["weight", "constant", "unused"] = "weight"

    def exported(self, like: Tensor) -> Tensor:
        """A copy in the released shape, where `like` is and of its type; counters stay integers."""
        moved = self.tensor.to(like.device)
        return (moved.to(like) if moved.is_floating_point() else moved).reshape(self.shape).clone()


Slots = Iterator[tuple[str, Slot]]


def slot_of(tensor: Tensor, *shape: int) -> Slot:
    """The slot of a weight; `shape` is the released one, by default the weight's."""
    tensor = tensor.detach()
    return Slot(tensor, shape or tuple(tensor.shape))


def module_slots(prefix: str, module: nn.Module, names: dict[str, str]) -> Slots:
    """Slots of the weights of `module`; `names` maps its children to their released names."""
    for name, tensor in module.named_parameters():
        *path, leaf = name.split(".")
        yield ".".join(filter(None, [prefix, *(names[p] for p in path), leaf])), slot_of(tensor)


def read_released(path: Path) -> Any:
    """The tensors and plain values in a checkpoint; ValueError if it holds anything else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({brief(error)})") from error
    except Exception as error:  # a file that is no checkpoint makes torch raise any kind
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        content = f"holds {foreign[1][:60]}, not only" if foreign else "is not a torch file of"
        raise ValueError(
            f"{path}: {content} tensors and plain values, so nothing of it was read or executed; "
            "save the state dict alone: torch.save(model.state_dict(), path)"
        ) from error


class Found(NamedTuple):
    """The weights in a checkpoint, under the names of slots where they match."""

    weights: Arrays
    where: str
    """Where in the checkpoint they are."""
    note: str = ""
    """What was stripped from the names or left out, as a sentence; "" if nothing."""


def weights_in(slots: Mapping[str, Slot], content: Any) -> Found:
    """The tensors of a checkpoint that fit the slots best, under the slots' names if they match.

    They may be nested in a group such as "model" or "state_dict", and their names may have prefixes
    of wrappers. Raises ValueError if there are no tensors, or if several groups fit.
    """
    found = [each for where, group in _groups(content) for each in _readings(slots, where, group)]
    if not found:
        raise ValueError(
            f"{_description(content)}: tensors by name are needed, such as model.state_dict()"
        )
    needed = _needed(slots)
    fit = [each for each in found if needed <= each.weights.keys() <= slots.keys()]
    if len(fit) > 1:
        raise ValueError(
            f"holds several sets of weights that fit, {', '.join(f.where for f in fit)[:100]}: "
            "load one of them with load(model, torch.load(...)[...])"
        )
    return fit[0] if fit else max(found, key=lambda each: len(each.weights.keys() & slots.keys()))


def _groups(content: Any, where: str = "", depth: int = 2) -> Iterator[tuple[str, Arrays]]:
    """The tensors by name in a mapping, and in the mappings in it."""
    if not isinstance(content, Mapping):
        return
    items = {name: value for name, value in content.items() if isinstance(name, str)}
    tensors = {n: v for n, v in items.items() if isinstance(v, Tensor | np.ndarray)}
    if tensors:
        yield where or _WHOLE, tensors
    for name, value in items.items() if depth else ():
        yield from _groups(value, f"{where}.{name}".strip("."), depth - 1)


def _readings(slots: Mapping[str, Slot], where: str, tensors: Arrays) -> Iterator[Found]:
    """The tensors without parts of wrappers in their names, and also with our prefix for theirs."""
    bare = {".".join(p for p in name.split(".") if p not in _WRAPPERS): name for name in tensors}
    if len(bare) < len(tensors):  # two names would become one
        yield Found(tensors, where)
        return
    kept = {ours: tensors[name] for ours, name in bare.items() if ours not in _COUNTERS}
    parts = {f"{part}." for name in tensors for part in name.split(".") if part in _WRAPPERS}
    yield Found(kept, where, _note(where, sorted(parts), []))
    ours = _shared(slots)
    for prefix in _prefixes(slots, ours, kept):
        moved = {ours + name[len(prefix) :]: kept[name] for name in kept if name.startswith(prefix)}
        others = [name for name in kept if not name.startswith(prefix)]
        stripped = [*sorted(parts), *filter(None, [prefix.removesuffix(ours)])]
        place = f"{where}, {prefix}*" if prefix else where
        yield Found(moved, place, _note(where, stripped, others))


def _prefixes(slots: Mapping[str, Slot], ours: str, names: Iterable[str]) -> list[str]:
    """Prefixes that names have in place of `ours`: of all names, or of one set of weights."""
    names = list(names)
    anchor = next(name for name in slots if name in _needed(slots)).removeprefix(ours)
    ends = [name.removesuffix(anchor) for name in names if f".{name}".endswith(f".{anchor}")]
    return [prefix for prefix in dict.fromkeys([_shared(names), *ends]) if prefix != ours]


def _note(where: str, stripped: list[str], others: list[str]) -> str:
    names = " and ".join(map(repr, stripped))
    parts = [
        f"the weights are in {where!r}" if where != _WHOLE else "",
        f"{names} was stripped from their names" if stripped else "",
        f"other tensors were left out: {len(others)}, such as {others[0][:60]!r}" if others else "",
    ]
    return "; ".join(filter(None, parts))


def _shared(names: Iterable[str]) -> str:
    """The common prefix of all names, in whole parts with their dots."""
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = takewhile(lambda parts: len(set(parts)) == 1, levels)
    return "".join(f"{parts[0]}." for parts in shared)


def _description(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"holds a {type(content).__name__}"
    return f"holds no tensors but {', '.join(map(str, content))[:100] or 'nothing at all'}"


def fill(slots: dict[str, Slot], state_dict: Arrays) -> None:
    """Copy tensors into their slots; every name and shape must fit, and constants must agree."""
    values = {k: torch.as_tensor(v) for k, v in state_dict.items()}
    missing = [name for name in slots if name in _needed(slots) - values.keys()]
    unexpected = [name for name in values if name not in slots]
    both = [name for name in slots if name in values]
    misfits = [f"{name} {why}" for name in both if (why := _misfit(slots[name], values[name]))]
    if missing or unexpected or misfits:
        lines = [f"missing {nearest(name, unexpected)}" for name in missing[:1]]
        lines += [f"unexpected {nearest(name, missing)}" for name in unexpected[:1]]
        lines += misfits[:2]
        more = len(missing) + len(unexpected) + len(misfits) - len(lines)
        lines = ["the tensors do not fit the model:", *lines, *([f"and {more} more"] * (more > 0))]
        raise ValueError("\n  ".join(line[:200] for line in lines))
    with torch.no_grad():
        for name, slot in slots.items():
            if slot.role == "weight":
                slot.tensor.copy_(values[name].reshape(slot.tensor.shape))


def _needed(slots: Mapping[str, Slot]) -> set[str]:
    return {name for name, slot in slots.items() if slot.role != "unused"}


def _misfit(slot: Slot, value: Tensor) -> str | None:
    """Why a tensor cannot go into a slot."""
    if tuple(value.shape) != slot.shape:
        return f"has shape {tuple(value.shape)}, expected {slot.shape}"
    integer = slot.tensor.is_floating_point() and not value.is_floating_point()
    if integer or value.layout != torch.strided or value.is_meta:
        return f"is not a dense float tensor but {value.dtype}, {value.layout}, on {value.device}"
    if not value.isfinite().all():
        return "has values that are not finite"
    if slot.role == "constant" and not _close(value, slot.tensor):
        return "differs from the rotary frequencies 10000^(-2i / head_dim)"
    return None


def _close(value: Tensor, constant: Tensor) -> bool:
    """Equal, as coarse as the type that it was saved in, such as bfloat16."""
    coarse = max(1e-6, torch.finfo(value.dtype).eps)
    return torch.allclose(value.float().cpu(), constant, rtol=coarse, atol=0)


def read_settings(
    kind: str, conf: Mapping[str, Any], defaults: Mapping[str, Any], only: Mapping[str, Any]
) -> dict[str, Any]:
    """Released settings, completed with the defaults of the released class.

    Raises ValueError for unknown settings and for other values than those in `only`.
    """
    unknown = [nearest(name, defaults) for name in map(str, conf) if name not in defaults]
    if unknown:
        names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if unknown[3:] else "")
        raise ValueError(f"settings that the released {kind} does not have: {names}")
    settings = {**defaults, **conf}
    for name, value in only.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name}={settings[name]!r}: only {value!r} is supported")
    return settings


def nearest(name: str, names: Iterable[str]) -> str:
    """A name, followed by the most similar of `names` if one is similar."""
    close = get_close_matches(name[:90], names, n=1)
    return f"{name[:90]} (nearest: {close[0][:90]})" if close else name[:90]
