"""Dividing rows at random: by class, or in whole groups."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dlcli.contracts.randomness import stream

REST = "train"
"""The split that gets what the others leave."""


def shuffle_split(
    rows: Tensor,
    shares: Mapping[str, float],
    seed: int,
    *,
    classes: Tensor | None = None,
    groups: Tensor | None = None,
) -> dict[str, Tensor]:
    """Divide rows at random; a pure function of its arguments.

    By class, each class's rows in a split differ from its share of them by less than one. Every class and every group
    division leaves something to `train`.

    Args:
        rows: The rows to divide, int64.
        shares: Share of the rows that each split gets, in (0, 1), their sum < 1; `train` gets the rest.
        seed: Decides the division.
        classes: Class of each of `rows`; None not to stratify.
        groups: Group of each of `rows`; None where every row stands alone. Not together with `classes`.

    Returns:
        Sorted rows of `train` and of each named split.

    Raises:
        ValueError: Too few rows, rows of a class, or groups.
    """
    generator = stream(seed, "split")
    if groups is not None:
        return _by_group(rows, shares, generator, groups)
    labels = torch.zeros_like(rows) if classes is None else classes
    strata = [rows[labels == label] for label in torch.unique(labels).tolist()]
    sizes = [len(stratum) for stratum in strata]
    strata = [stratum[torch.randperm(len(stratum), generator=generator)] for stratum in strata]
    found: dict[str, Tensor] = {}
    for name, share in shares.items():
        counts = _allocate(sizes, share, [len(stratum) - 1 for stratum in strata])
        if not any(counts):
            raise ValueError(
                f"{len(rows)} rows are too few for {name}, {share:g} of them; use fewer splits or more rows"
            )
        found[name] = torch.cat([stratum[:count] for stratum, count in zip(strata, counts, strict=True)]).sort().values
        strata = [stratum[count:] for stratum, count in zip(strata, counts, strict=True)]
    return {REST: torch.cat(strata).sort().values, **found}


def _allocate(sizes: Sequence[int], share: float, room: Sequence[int]) -> list[int]:
    """Return how many rows of each stratum a split gets: shares rounded down, then one more where most was cut off."""
    quotas = [size * share for size in sizes]
    counts = [min(int(quota), most) for quota, most in zip(quotas, room, strict=True)]
    left = max(1, round(sum(quotas))) - sum(counts)
    for index in sorted(range(len(sizes)), key=lambda index: (int(quotas[index]) - quotas[index], index)):
        if left > 0 and counts[index] < min(room[index], quotas[index]):
            counts[index] += 1
            left -= 1
    return counts


def _by_group(
    rows: Tensor, shares: Mapping[str, float], generator: torch.Generator, groups: Tensor
) -> dict[str, Tensor]:
    """Give each split whole groups, in random order, while that brings it nearer to its share of the rows."""
    names, group_of = torch.unique(groups, return_inverse=True)
    if len(names) <= len(shares):
        raise ValueError(
            f"{len(names)} groups are too few for {len(shares) + 1} splits ({', '.join([REST, *shares])}); groups stay "
            "whole: use fewer splits, or more groups"
        )
    sizes = torch.bincount(group_of).tolist()
    free: list[int] = torch.randperm(len(names), generator=generator).tolist()
    split_of = torch.zeros(len(names), dtype=torch.int64)
    for number, share in enumerate(shares.values(), start=1):
        keep = len(shares) - number + 1  # every later split, and `train`, gets one group at least
        taken = 0
        for group in free[: len(free) - keep]:
            if not taken or taken + sizes[group] / 2 <= share * len(rows):
                split_of[group] = number
                taken += sizes[group]
        free = [group for group in free if split_of[group] == 0]
    splits = split_of[group_of]
    return {name: rows[splits == number].sort().values for number, name in enumerate([REST, *shares])}
