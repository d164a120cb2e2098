"""Deterministic mode: torch computes with operations alone that give the same bits every time."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dlcli.errors import TrainingError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""What cuBLAS asks before it promises the same bits; it reads it once a process, at its first product."""
REFUSED = re.compile(r"(\S+) does not have a deterministic implementation")


@contextmanager
def determinism(wanted: bool, device: torch.device) -> Iterator[None]:
    """Refuse operations without a deterministic implementation while entered; torch is left as it was.

    Args:
        wanted: Whether to do so; if not, nothing is changed.
        device: Where is computed.

    Yields:
        None: The block runs.

    Raises:
        TrainingError: The block needed an operation that has none.
    """
    if not wanted:
        yield
        return
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, chosen = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    workspace = os.environ.get(WORKSPACE)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    if device.type == "cuda" and workspace is None:
        os.environ[WORKSPACE] = ":4096:8"
    try:
        yield
    except RuntimeError as error:
        told = _told(str(error), device)
        if told is None:
            raise
        raise TrainingError(told) from error
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, chosen
        if workspace is None:
            os.environ.pop(WORKSPACE, None)


def _told(message: str, device: torch.device) -> str | None:
    """Say what an error of torch means to somebody who asked for deterministic mode; None where it is another error."""
    if found := REFUSED.search(message):
        return (
            f"train.deterministic = true, but the network or its loss needs the operation {found[1]}, of which torch "
            f"{torch.__version__} has no deterministic implementation on {device.type}; set train.deterministic = "
            "false, or train with layers that do without it"
        )
    if WORKSPACE in message:
        return (
            f"train.deterministic = true needs {WORKSPACE}=:4096:8 in the environment before the process computes its "
            f"first product on a GPU, got {os.environ.get(WORKSPACE)!r}; set it and start again"
        )
    return None
