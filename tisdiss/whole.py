"""A whole model (`tisdiss.contract`) behind the interface of `TISDiSS`; every model is built here.

What a package's module returns is checked at each call; an error names the package.
"""

from collections.abc import Callable, Iterator, Sequence
from pkgutil import resolve_name
from typing import Any, TypeVar, cast

from torch import Tensor, nn

from tisdiss.config import AnyModel, ModelConfig, WholeConfig
from tisdiss.contract import WHOLE_MODELS, HasLoss, SeparatesByDepth
from tisdiss.model import TISDiSS
from tisdiss.plugins import PluginError, guarded

T = TypeVar("T")


class Whole(nn.Module):
    """A whole model: (batch, samples) -> (batch, n_src, samples), at the depths of its dial."""

    def __init__(self, config: WholeConfig, net: nn.Module | None = None) -> None:
        """`net` is the module of these settings; None: a freshly initialised one."""
        super().__init__()
        self.config = config
        self.net: nn.Module = self._guarded(self._made) if net is None else net

    def forward(self, mixture: Tensor, n_sep: int | None = None, n_re: int | None = None) -> Tensor:
        """Estimates at a depth, the trained one for None; `n_sep` is None or 1."""
        _, n_re = self.config.check_depth(n_sep, n_re)
        if n_re == self.config.n_re:
            return self._checked(self._guarded(lambda: self.net(mixture)), mixture)
        return next(self.repetitions(mixture, [n_re]))

    def repetitions(
        self, mixture: Tensor, n_re: Sequence[int], n_sep: int | None = None
    ) -> Iterator[Tensor]:
        """The output at each depth of `n_re` (ascending) from one pass, as soon as it is ready."""
        if not n_re or list(n_re) != sorted(set(n_re)):
            raise ValueError(f"n_re={list(n_re)}: give distinct depths in ascending order")
        for depth in n_re:
            self.config.check_depth(n_sep, depth)
        if not self.config.dial:
            yield self(mixture)
            return
        net = cast(SeparatesByDepth, self.net)
        outputs = self._guarded(lambda: iter(net.outputs(mixture, list(n_re))))
        for depth in n_re:
            output = self._guarded(lambda: next(outputs, None))
            if output is None:
                raise PluginError(f"{self.who}: outputs() ended before depth {depth} of {n_re}")
            yield self._checked(output, mixture)

    def training_loss(
        self, mixture: Tensor, sources: Tensor, epoch: int
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """The number to minimise and the numbers to log; None if the module has no own loss."""
        if not hasattr(self.net, "training_loss"):
            return None
        net = cast(HasLoss, self.net)
        loss: Any = self._guarded(lambda: net.training_loss(mixture, sources, epoch))
        total = getattr(loss, "total", loss)
        if not isinstance(total, Tensor) or total.dim():
            raise PluginError(
                f"{self.who}: training_loss() returned {_shown(total)}, where one number is "
                "needed, or a NamedTuple with it as `total`"
            )
        parts = loss._asdict() if hasattr(loss, "_asdict") else {}
        parts = {name: value.mean() for name, value in parts.items() if name != "total"}
        return total, parts or {"last": total}

    @property
    def who(self) -> str:
        """The model for error messages, with its package."""
        return WHOLE_MODELS.of(self.config.architecture)

    def _made(self) -> nn.Module:
        net = resolve_name(self.config.entry.module)(self.config.settings)
        if not isinstance(net, nn.Module):
            raise TypeError(f"{self.config.entry.module} made a {type(net).__name__}, no nn.Module")
        if self.config.dial and not hasattr(net, "outputs"):
            raise TypeError("its settings have `depths`, and its module has no `outputs`")
        return net

    def _guarded(self, work: Callable[[], T]) -> T:
        """The result of a package's code, whose errors are told with its name."""
        with guarded(self.who, WHOLE_MODELS.package(self.config.architecture)):
            return work()

    def _checked(self, output: Any, mixture: Tensor) -> Tensor:
        """The output if it is what the contract asks for; outside training it is finite, too."""
        wanted = (mixture.shape[0], self.config.n_src, mixture.shape[-1])
        if not isinstance(output, Tensor) or tuple(output.shape) != wanted:
            raise PluginError(
                f"{self.who} returned {_shown(output)} for a mixture of {tuple(mixture.shape)}, "
                f"where (batch, n_src, samples) is {wanted}"
            )
        computed = not self.training and output.device.type != "meta"
        if computed and mixture.isfinite().all() and not output.isfinite().all():
            raise PluginError(f"{self.who} returned estimates with NaN or infinity")
        return output


AnyNet = TISDiSS | Whole
"""A model of either kind."""


def build(config: AnyModel) -> AnyNet:
    """A freshly initialised model; seed torch first for reproducible weights."""
    return TISDiSS.from_config(config) if isinstance(config, ModelConfig) else Whole(config)


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
