"""Memory that ran out, told as something that the user can mend."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from dlcli.errors import TrainingError


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out; on a CPU torch tells it in words alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def out_of_memory_told(when: Callable[[], str], device: torch.device, batch_size: int) -> Iterator[None]:
    """Turn running out of memory into an error for the user.

    Args:
        when: Says at what it happened, such as `in epoch 3`.
        device: Whose memory.
        batch_size: The recipe's, in rows.

    Yields:
        None: The block runs.

    Raises:
        TrainingError: Memory ran out in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).splitlines() or [type(error).__name__]
        raise TrainingError(
            f"memory of {device} ran out {when()}: {said[0]}; "
            f"try a smaller train.batch_size (now {batch_size}) or a smaller network"
        ) from error
