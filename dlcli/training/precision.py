"""Layers in lower precision: torch's autocast, and what it cannot do told in words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dlcli.contracts.switches import Precision
from dlcli.errors import TrainingError

DTYPES: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
UNABLE = re.compile(r"could not create a primitive|not implemented for '?(Half|BFloat16)|does not support .*(bf16|f16)")
"""What torch, and the library that it computes with on a CPU, say of layers that they have in float32 alone."""


@contextmanager
def lower_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let layers compute in a lower precision while entered; of parameters they get copies in it.

    Args:
        precision: Another one than float32.
        device: Where is computed.

    Yields:
        None: The block runs a forward pass.

    Raises:
        TrainingError: A layer cannot.
    """
    try:
        with torch.autocast(device.type, DTYPES[precision]):
            yield
    except RuntimeError as error:
        if UNABLE.search(str(error)) is None:
            raise
        raise TrainingError(
            f"train.precision = {precision!r}, but torch has a layer of this network in float32 alone on this "
            f"{'processor' if device.type == 'cpu' else device.type}: {str(error).splitlines()[0].partition('. ')[0]}; "
            'set train.precision = "float32"'
        ) from error
