"""Types of the numbers in settings; every number that sizes something has a limit (`limits.py`)."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from tisdiss.limits import (
    MAX_BLOCKS,
    MAX_COUNT,
    MAX_KERNEL,
    MAX_PASSES,
    MAX_POWER,
    MAX_RATE,
    MAX_SECONDS,
    MAX_SEED,
    MAX_WIDTH,
    MIN_RATE,
)


def check_seed(seed: int) -> int:
    """The seed if it is valid; ValueError otherwise."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(
            f"{seed}: a seed is from 0 to {MAX_SEED}, because generators keep 32 bits of it: a "
            "larger one would give the same weights as a smaller one"
        )
    return seed


def _check_odd(kernel: int) -> int:
    """A kernel that has a middle, or 0 for none."""
    if kernel and kernel % 2 == 0:
        raise ValueError(f"{kernel}: give an odd number, so that the kernel has a middle, or 0")
    return kernel


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Passes = Annotated[int, Field(ge=1, le=MAX_PASSES)]
Blocks = Annotated[int, Field(ge=1, le=MAX_BLOCKS)]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Kernel = Annotated[int, Field(ge=1, le=MAX_KERNEL)]
OddKernel = Annotated[int, Field(ge=0, le=MAX_KERNEL), AfterValidator(_check_odd)]
Power = Annotated[float, Field(gt=0, le=MAX_POWER)]
Rate = Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE)]
Length = Annotated[float, Field(ge=0.01, le=MAX_SECONDS)]
Guard = Annotated[float, Field(gt=0, le=1)]
Decibels = Annotated[float, Field(ge=-100, le=100)]
T60 = Annotated[float, Field(ge=0.05, le=1.5)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[
    int,
    AfterValidator(check_seed),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_SEED}),
]
Condition = Literal["clean", "noisy", "reverberant", "noisy-reverberant"]


class Config(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def later(value: Any) -> Any:
    """A field that was added after runs existed; `value`, its default, is what all of them had."""
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(value, BaseModel):
        plain = value.model_dump(mode="json")
    return Field(default=value, json_schema_extra={"since": plain})
