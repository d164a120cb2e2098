"""Safetensors files: read whole, never executed, and never more than they are."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dlcli.errors import DataError
from dlcli.untrusted import LARGEST, reason, regular_size

HEAD = 8
"""Bytes at the beginning that say how long the header is."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    The library holds the header to the file: every shape to its share of the bytes, and all of them to the whole.

    Args:
        path: The file.

    Returns:
        Its tensors by name, on the CPU.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        size = regular_size(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
        length = int.from_bytes(head, "little")
        if len(head) < HEAD or length > min(size - HEAD, LARGEST):
            raise ValueError(f"it is no safetensors file, or cut: {size} bytes, {length} of them said to be its header")
        return load_file(path)
    # What the header says may be no type or no shape of torch's.
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}; restore it from a copy, or train again") from None
