"""What the regularizers that mix rows share: whom with whom, and how much of each."""

from random import Random

import torch
from torch import Tensor


def drawn_share(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw λ ~ Beta(α, α), the share of each row's own, 0-d; 1 for α = 0."""
    # torch draws no Beta from a generator.
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    share = Random(seed).betavariate(alpha, alpha) if alpha else 1.0
    return torch.tensor(share, device=generator.device)


def drawn_keys(rows: int, generator: torch.Generator) -> Tensor:
    """Draw numbers in [0, 1) (rows,), whose order says who is mixed with whom."""
    return torch.rand(rows, generator=generator, device=generator.device)


def partners(keys: Tensor, weight: Tensor) -> Tensor:
    """Return with which row each is mixed (B,): rows that count in a random order, any other with itself.

    Args:
        keys: Numbers in [0, 1) (B,).
        weight: What each row counts (B,).

    Returns:
        Places, int64 (B,).
    """
    counts = weight > 0
    order = torch.where(counts, keys, keys + 1).argsort(stable=True)
    place = (counts.cumsum(0) - 1).clamp_min(0)
    return torch.where(counts, order.gather(0, place), torch.arange(len(keys), device=keys.device))
