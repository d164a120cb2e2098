"""Tests whether two models differ on the same rows by more than chance."""

import math

import torch
from torch import Tensor

from dlcli.contracts.randomness import derive

EXACT_UNITS, FLIPPED_UNITS = 16, 5000
"""Up to so many differences all signs are tried; up to so many a sample of signs; beyond, the normal distribution."""
FLIPS = 10_000
"""Signs tried at random."""
EQUAL = 1e-12
"""Sums that differ by less, relative to Σ |d|, are equal: the order of adding must not decide."""


def sign_flip_test(differences: Tensor, seed: int) -> tuple[float, str]:
    """Test whether paired differences are symmetric about 0, by flipping their signs.

    Where neither model is better, each difference is as likely to have had the other sign. The p-value is the share of
    ways to give signs for which |Σ ± d| is at least |Σ d|: of all ways, of 10,000 at random (b + 1) / (10,000 + 1), or
    of the normal distribution with variance Σ d², which that of the sum comes to for many.

    Args:
        differences: One of each unit, weighted as it counts (U,), float64.
        seed: For ways at random.

    Returns:
        The two-sided p-value, in (0, 1], and how it was computed: `exact`, `random signs` or `normal`.

    Source: Pitman 1937, "Significance tests which may be applied to samples from any populations".
    """
    differences = differences[differences != 0]  # their sign does not matter
    units, size = len(differences), float(differences.abs().sum())
    least = float(differences.sum().abs()) - EQUAL * size
    if units <= EXACT_UNITS:
        ways = torch.arange(2**units).unsqueeze(1) >> torch.arange(units) & 1
        sums = (2.0 * ways - 1.0).double() @ differences
        return float((sums.abs() >= least).double().mean()), "exact"
    if units > FLIPPED_UNITS:
        deviations = float(differences.sum().abs() / differences.square().sum().sqrt())
        return math.erfc(deviations / math.sqrt(2)), "normal"
    generator = torch.Generator().manual_seed(derive(seed, "sign flips"))
    reached = 0
    for _ in range(FLIPS // 1000):
        signs = 2.0 * torch.randint(2, (1000, units), generator=generator).double() - 1.0
        reached += int(((signs @ differences).abs() >= least).sum())
    return (reached + 1) / (FLIPS + 1), "random signs"


def mcnemar_test(first_alone: int, second_alone: int) -> float:
    """Test whether one of two models is right more often, by the rows on which just one of them is: exact.

    Where neither is better, such a row is as likely to be the other's: the smaller number is binomial with ½. The
    p-value is min(1, 2 P(X ≤ smaller)).

    Args:
        first_alone: Rows that the first alone has right.
        second_alone: Rows that the second alone has right.

    Returns:
        The two-sided p-value.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages".
    """
    total = first_alone + second_alone
    places = torch.arange(min(first_alone, second_alone) + 1, dtype=torch.float64)
    ways = math.lgamma(total + 1) - torch.lgamma(places + 1) - torch.lgamma(total - places + 1)
    return min(1.0, 2 * float((ways - total * math.log(2)).exp().sum()))
