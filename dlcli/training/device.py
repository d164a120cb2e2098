"""Which device to train on."""

import torch

from dlcli.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `mps` into a device that is there.

    Args:
        name: What was asked for; `auto` takes cuda, then mps, then cpu, whichever is there first.

    Returns:
        The device.

    Raises:
        UsageError: It is not there, or there is no such name.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if name not in available:
        raise UsageError(f"unknown device {name!r}; devices are auto, {', '.join(sorted(available))}")
    if not available[name]:
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise UsageError(f"device {name!r} is not available on this machine; available: {there}; or use --device auto")
    return torch.device(name)
