"""Members as several strategies ask for them and put them in order."""

import math
import re
from collections.abc import Iterable, Sequence

from torch import Tensor

from dlcli import Context, Direction, MemberResult, MemberSpecification, Task

DEFAULT_MEMBERS = 10
"""How many members where the recipe says nothing."""


def specifications(context: Context, prefix: str, count: int) -> list[MemberSpecification]:
    """Return specifications of members `prefix-0`, `prefix-1`, …, the architectures in turn.

    Args:
        context: The strategy's context.
        prefix: What a member is called.
        count: How many, ≥ 1.

    Returns:
        The specifications.
    """
    kinds = context.architectures
    return [MemberSpecification(f"{prefix}-{place}", architecture=kinds[place % len(kinds)]) for place in range(count)]


def in_order(identities: Iterable[str]) -> tuple[str, ...]:
    """Return identities sorted as people count: `bag-2` before `bag-10`."""
    return tuple(sorted(identities, key=lambda identity: (_parts(identity), identity)))


def _parts(identity: str) -> list[str | int]:
    # Split so, words are at even places and numbers at odd ones: only like is compared with like.
    parts = re.split(r"([0-9]+)", identity)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def names(results: Sequence[MemberResult]) -> tuple[str, ...]:
    """Return the identities of results, in order."""
    return in_order(result.identity for result in results)


def need_whole_rows(strategy: str, context: Context, target: Tensor) -> None:
    """Refuse targets per position of a sequence.

    Args:
        strategy: Who needs one answer a row.
        context: Its context.
        target: Targets of some rows.

    Raises:
        ValueError: The target has a dimension of positions.
    """
    if target.ndim > (1 if context.task is Task.MULTICLASS else 2):
        raise ValueError(
            f"{strategy} needs one answer a row, but the target has positions: {tuple(target.shape)}; "
            "for answers per position use voting (soft or hard), bagging or greedy"
        )


def smaller_is_better(score: float, direction: Direction) -> float:
    """Return a score such that smaller is better, and NaN worst."""
    if math.isnan(score):
        return math.inf
    return score if direction == "min" else -score
