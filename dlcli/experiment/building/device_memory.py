"""How much memory a device has left."""

import torch

from dlcli.data.memory import available_memory


def available_bytes(device: torch.device) -> int | None:
    """Return how many bytes may still be used on a device, what torch holds there unused included.

    Args:
        device: A CPU, whose memory is the machine's, or a GPU.

    Returns:
        Bytes; None where that cannot be told.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return available_memory() if device.type == "cpu" else None
