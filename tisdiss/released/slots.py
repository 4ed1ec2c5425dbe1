"""Between our parameters and a released state dict: each released tensor has a slot in ours.

A file may hold more than a state dict, such as a whole training state, and its names may begin
with what a wrapper put before them. Both are undone where there is one way to do so; nothing in a
file is executed.
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
"""Parts of names that DataParallel, torch.compile and the like put in; the released have none."""
_COUNTERS = {"n_averaged"}
"""What wrappers keep beside the weights."""
_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    *(argparse.Namespace, datetime.timedelta, np.dtype),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64, np.bool_)),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Classes that training states hold beside tensors: hyperparameters, times and numbers."""


class Slot(NamedTuple):
    """Where a released tensor lives: a view of our parameter, and the shape it is released in."""

    tensor: Tensor
    shape: tuple[int, ...]
    role: Literal["weight", "constant", "unused"] = "weight"

    def exported(self, like: Tensor) -> Tensor:
        """A copy in the released shape, where `like` is and of its type; counters stay integers."""
        moved = self.tensor.to(like.device)
        return (moved.to(like) if moved.is_floating_point() else moved).reshape(self.shape).clone()


Slots = Iterator[tuple[str, Slot]]


def slot_of(tensor: Tensor, *shape: int) -> Slot:
    """The slot of a weight, released in its own shape where none is given."""
    tensor = tensor.detach()
    return Slot(tensor, shape or tuple(tensor.shape))


def module_slots(prefix: str, module: nn.Module, names: dict[str, str]) -> Slots:
    """Weights of `module` whose children carry other names in the released code."""
    for name, tensor in module.named_parameters():
        *path, leaf = name.split(".")
        yield ".".join(filter(None, [prefix, *(names[p] for p in path), leaf])), slot_of(tensor)


def read_released(path: Path) -> Any:
    """What a checkpoint holds: tensors and plain values, or a ValueError that says what else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({brief(error)})") from error
    except Exception as error:  # whatever a file that is no checkpoint makes torch stumble over
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        held = f"holds {foreign[1][:60]}, not only" if foreign else "is no torch file of"
        raise ValueError(
            f"{path}: {held} tensors and plain values, so nothing of it was read or executed; save "
            "the state dict alone: torch.save(model.state_dict(), path)"
        ) from error


def weights_in(slots: Mapping[str, Slot], held: Any) -> Arrays:
    """The tensors of a checkpoint under the names of the slots, as far as they have some there.

    They may be in a group of their own, such as "model" or "state_dict". ValueError where there
    are none, or more than one set that fits.
    """
    groups = {where: _named(slots, group) for where, group in _groups(held)}
    if not groups:
        raise ValueError(
            f"{_described(held)}: tensors by name are needed, such as model.state_dict()"
        )
    needed = _needed(slots)
    fit = [w for w, group in groups.items() if needed <= group.keys() <= slots.keys()]
    if len(fit) > 1:
        raise ValueError(
            f"holds several sets of weights that fit, {', '.join(fit)[:100]}: load one of them "
            "with load(model, torch.load(...)[...])"
        )
    return groups[fit[0]] if fit else max(groups.values(), key=lambda g: len(g.keys() & slots))


def _groups(held: Any, where: str = "", depth: int = 2) -> Iterator[tuple[str, Arrays]]:
    """The tensors by name in a mapping, and in the mappings in it."""
    if not isinstance(held, Mapping):
        return
    named = {name: value for name, value in held.items() if isinstance(name, str)}
    tensors = {n: v for n, v in named.items() if isinstance(v, Tensor | np.ndarray)}
    if tensors:
        yield where or "the whole", tensors
    for name, value in named.items() if depth else ():
        yield from _groups(value, f"{where}.{name}".strip("."), depth - 1)


def _named(slots: Mapping[str, Slot], tensors: Arrays) -> Arrays:
    """Without what wrappers put before and into names; as they are where that finds no slots."""
    bare = {".".join(p for p in name.split(".") if p not in _WRAPPERS): name for name in tensors}
    kept = {ours: tensors[name] for ours, name in bare.items() if ours not in _COUNTERS}
    if len(bare) < len(tensors):
        return tensors  # two names would become one
    before, ours = _shared(kept), _shared(slots)
    moved = {ours + name[len(before) :]: value for name, value in kept.items()}
    return max(kept, moved, key=lambda found: len(found.keys() & slots.keys()))


def _shared(names: Iterable[str]) -> str:
    """The parts with which all names begin, with their dots."""
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = takewhile(lambda parts: len(set(parts)) == 1, levels)
    return "".join(f"{parts[0]}." for parts in shared)


def _described(held: Any) -> str:
    if not isinstance(held, Mapping):
        return f"holds a {type(held).__name__}"
    return f"holds no tensors but {', '.join(map(str, held))[:100] or 'nothing at all'}"


def fill(slots: dict[str, Slot], state_dict: Arrays) -> None:
    """Copy tensors into their slots; every name and shape must fit, and constants must agree."""
    given = {k: torch.as_tensor(v) for k, v in state_dict.items()}
    missing = [name for name in slots if name in _needed(slots) - given.keys()]
    unexpected = [name for name in given if name not in slots]
    both = [name for name in slots if name in given]
    wrong = [f"{name} {said}" for name in both if (said := _misfit(slots[name], given[name]))]
    if missing or unexpected or wrong:
        shown = [f"missing {nearest(name, unexpected)}" for name in missing[:1]]
        shown += [f"unexpected {nearest(name, missing)}" for name in unexpected[:1]]
        shown += wrong[:2]
        more = len(missing) + len(unexpected) + len(wrong) - len(shown)
        lines = ["the tensors do not fit the model:", *shown, *([f"and {more} more"] * (more > 0))]
        raise ValueError("\n  ".join(line[:200] for line in lines))
    with torch.no_grad():
        for name, slot in slots.items():
            if slot.role == "weight":
                slot.tensor.copy_(given[name].reshape(slot.tensor.shape))


def _needed(slots: Mapping[str, Slot]) -> set[str]:
    return {name for name, slot in slots.items() if slot.role != "unused"}


def _misfit(slot: Slot, value: Tensor) -> str | None:
    """Why a tensor cannot go into a slot."""
    if tuple(value.shape) != slot.shape:
        return f"has shape {tuple(value.shape)}, expected {slot.shape}"
    integer = slot.tensor.is_floating_point() and not value.is_floating_point()
    if integer or value.layout != torch.strided or value.is_meta:
        return f"has no plain numbers but {value.dtype}, {value.layout}, on {value.device}"
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
    kind: str, given: Mapping[str, Any], defaults: Mapping[str, Any], only: Mapping[str, Any]
) -> dict[str, Any]:
    """Released settings with what the class assumes where they are silent.

    Unknown ones are refused, and those of parts that we do not build unless they are as in `only`.
    """
    unknown = [nearest(name, defaults) for name in map(str, given) if name not in defaults]
    if unknown:
        names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if unknown[3:] else "")
        raise ValueError(f"settings that the released {kind} does not have: {names}")
    settings = {**defaults, **given}
    for name, value in only.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name}={settings[name]!r}: only {value!r} is supported")
    return settings


def nearest(name: str, names: Iterable[str]) -> str:
    """A name, with the most similar of `names` where one is similar."""
    close = get_close_matches(name[:90], names, n=1)
    return f"{name[:90]} (nearest: {close[0][:90]})" if close else name[:90]
