"""Between our parameters and a released state dict: each released tensor has a slot in ours."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class Slot(NamedTuple):
    """Where a released tensor lives: a view of our parameter, and the shape it is released in."""

    tensor: Tensor
    shape: tuple[int, ...]
    role: Literal["weight", "constant", "unused"] = "weight"


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


def fill(slots: dict[str, Slot], state_dict: Mapping[str, Tensor | np.ndarray]) -> None:
    """Copy tensors into their slots; every name and shape must fit, and constants must agree."""
    given = {k: torch.as_tensor(v) for k, v in state_dict.items()}
    missing = {k for k, slot in slots.items() if slot.role != "unused"} - given.keys()
    unexpected = given.keys() - slots.keys()
    problems = [f"missing {nearest(name, unexpected)}" for name in missing]
    problems += [f"unexpected {nearest(name, missing)}" for name in unexpected]
    for name in slots.keys() & given.keys():
        slot, value = slots[name], given[name]
        if tuple(value.shape) != slot.shape:
            problems.append(f"{name} has shape {tuple(value.shape)}, expected {slot.shape}")
        elif slot.role == "constant" and not torch.allclose(
            value.float().cpu(), slot.tensor, rtol=1e-6, atol=0
        ):
            problems.append(f"{name} differs from the rotary frequencies 10000^(-2i / head_dim)")
    if problems:
        raise ValueError("\n  ".join(["the tensors do not fit the model:", *sorted(problems)]))
    with torch.no_grad():
        for name, slot in slots.items():
            if slot.role == "weight":
                slot.tensor.copy_(given[name].reshape(slot.tensor.shape))


def read_settings(
    kind: str, given: Mapping[str, Any], defaults: Mapping[str, Any], only: Mapping[str, Any]
) -> dict[str, Any]:
    """Released settings with what the class assumes where they are silent.

    Unknown ones are refused, and those of parts that we do not build unless they are as in `only`.
    """
    unknown = [nearest(name, defaults) for name in given if name not in defaults]
    if unknown:
        raise ValueError(f"settings that the released {kind} does not have: {', '.join(unknown)}")
    settings = {**defaults, **given}
    for name, value in only.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name}={settings[name]!r}: only {value!r} is supported")
    return settings


def nearest(name: str, names: Iterable[str]) -> str:
    """A name, with the most similar of `names` where one is similar."""
    close = get_close_matches(name, names, n=1)
    return f"{name} (nearest: {close[0]})" if close else name
