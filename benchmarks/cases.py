"""The models and the work that are timed, with the structure of the paper's model."""

from collections.abc import Callable

import torch
from reference import every_depth, every_pair_of_depths, loss, reference
from torch import Tensor

from tisdiss.config import LossConfig, ModelConfig
from tisdiss.kernels.modes import set_bf16
from tisdiss.losses import multi_depth_loss
from tisdiss.model import TISDiSS

Work = Callable[[], object]

WIDTHS = {
    128: {"channels": 128, "attention_dim": 128, "n_heads": 4, "ffn_hidden": (384, 384)},
    64: {"channels": 64, "attention_dim": 64, "n_heads": 4, "ffn_hidden": (192, 192)},
    32: {"channels": 32, "attention_dim": 32, "n_heads": 4, "ffn_hidden": (96, 96)},
    16: {"channels": 16, "attention_dim": 16, "n_heads": 2, "ffn_hidden": (48, 48)},
    8: {"channels": 8, "attention_dim": 8, "n_heads": 1, "ffn_hidden": (24, 24), "norm_groups": 2},
}


def build(
    width: int, device: str, *, n_src: int = 2, codec: dict[str, object] | None = None
) -> TISDiSS:
    """A seeded sep1x2-re1x3-l1+3 with `width` channels (STFT 128/64, unless `codec` is given)."""
    settings = {"block": WIDTHS[width], "n_src": n_src, "codec": codec or {}}
    base = ModelConfig.model_validate(settings)
    torch.manual_seed(0)
    return TISDiSS.from_config(ModelConfig.from_name("sep1x2-re1x3-l1+3", base)).to(device)


def mixture(seconds: float, device: str, batch: int = 1) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, round(8000 * seconds), device=device)


def forward(width: int, seconds: float, device: str) -> dict[str, Work]:
    model, x = build(width, device), mixture(seconds, device)
    plain = reference(model)
    return {"reference": _quiet(lambda: plain(x)), "ours": _quiet(lambda: model(x))}


def forward_bf16(width: int, seconds: float, device: str) -> dict[str, Work]:
    model, x = build(width, device), mixture(seconds, device)
    plain = reference(build(width, device))
    set_bf16(model, True)
    return {"reference": _quiet(lambda: plain(x)), "ours": _quiet(lambda: model(x))}


def training(
    width: int, seconds: float, device: str, batch: int = 1, bf16: bool = False
) -> dict[str, Work]:
    """Forward, loss and backward, without the optimiser; `bf16` affects only our model."""
    model, x = build(width, device), mixture(seconds, device, batch)
    set_bf16(model, bf16)
    plain, sources = reference(model), torch.randn(batch, 2, x.shape[1], device=device)
    depths = model.config.decoded()

    def ours() -> None:
        model.zero_grad()
        multi_depth_loss(model.all_depths(x), sources, depths, LossConfig())[0].backward()

    def theirs() -> None:
        model.zero_grad()
        loss(plain.all_depths(x), sources).backward()

    return {"reference": theirs, "ours": ours}


def sweep(width: int, seconds: float, device: str) -> dict[str, Work]:
    model, x, depths = build(width, device), mixture(seconds, device), range(1, 11)
    plain = reference(model)
    return {
        "reference": _quiet(lambda: every_depth(plain, x, depths)),
        "ours": _quiet(lambda: list(model.repetitions(x, depths))),
    }


def grid(width: int, seconds: float, device: str) -> dict[str, Work]:
    model, x, n_sep, n_re = (
        build(width, device),
        mixture(seconds, device),
        range(1, 5),
        range(1, 11),
    )
    plain = reference(model)
    return {
        "reference": _quiet(lambda: every_pair_of_depths(plain, x, n_sep, n_re)),
        "ours": _quiet(lambda: list(model.grid(x, n_sep, n_re))),
    }


def scoring(seconds: float, depths: int = 1) -> dict[str, Work]:
    """SDR of two estimates at some depths; mir_eval scores the depths one by one."""
    import warnings

    from mir_eval.separation import bss_eval_sources

    from tisdiss.metrics import sdr

    sources = mixture(seconds, "cpu", 2).double()
    estimates = sources + 0.3 * torch.randn(depths, *sources.shape).double()

    def theirs() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in estimates:
                bss_eval_sources(sources.numpy(), each.numpy())

    return {"reference": theirs, "ours": lambda: sdr(estimates, sources)}


def _quiet(work: Work) -> Work:
    def run() -> object:
        with torch.no_grad():
            return work()

    return run
