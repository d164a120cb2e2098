"""Random streams that are derived, never carried: a function of (seed, purpose, epoch)."""

import hashlib

import torch


def derive(seed: int, *parts: str | int) -> int:
    """Derive a 63-bit seed from a seed and what it is for; equal on every machine.

    Args:
        seed: The seed to derive from, such as a run's.
        *parts: What the new seed is for, such as `"fold"`, 3 or `"order"`, 17.

    Returns:
        A whole number in [0, 2^63).
    """
    text = "/".join([str(seed), *(f"{type(part).__name__}:{part}" for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, purpose: str, epoch: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one purpose in one epoch: the same numbers whatever else runs beside it.

    Args:
        seed: A member's seed.
        purpose: What is drawn, such as `"init"`, `"order"` or `"dropout"`.
        epoch: Number of the epoch, from 1; 0 for what is drawn once.
        device: Where the numbers are drawn.

    Returns:
        A freshly seeded generator.
    """
    return torch.Generator(device=device).manual_seed(derive(seed, purpose, epoch))
