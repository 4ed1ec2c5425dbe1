"""The device that a model runs on."""


def check_device(device: str) -> None:
    """ValueError unless torch can compute there."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used here ({reason}); use cpu") from error
