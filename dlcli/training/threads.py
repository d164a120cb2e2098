"""How many threads compute on a CPU: a pool costs a small network more than it gives."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dlcli.contracts.member import Member

SMALL = 2**26
"""Multiply-adds of one batch's forward pass below which one thread is at least as quick: about 3 ms of one core."""


def multiply_adds(network: nn.Module, member: Member) -> int:
    """Estimate the multiply-adds of a batch's forward pass; every kernel is counted at every pixel.

    Args:
        network: The member's network.
        member: Its batch size and inputs.

    Returns:
        A number that depends on the plan alone, so that a resumed run decides alike.
    """
    pixels = max((math.prod(field.shape[1:]) for field in member.io.inputs if field.kind == "image"), default=1)
    weights = [p.numel() * (pixels if p.ndim > 2 else 1) for p in network.parameters() if p.ndim > 1]
    return member.batch_size * sum(weights)


@contextmanager
def suitable_threads(network: nn.Module, member: Member, members: int = 1) -> Iterator[None]:
    """Compute with one thread while entered, where the network is small; with torch's own number otherwise.

    On a busy machine a pool's threads wait for each other: a step of half a millisecond has been seen to take forty.

    Args:
        network: The member's network.
        member: Its batch size and inputs.
        members: How many train together.

    Yields:
        None: The block runs.
    """
    before = torch.get_num_threads()
    if members * multiply_adds(network, member) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
