"""The budget of a search, whatever the number of its workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)

LEAST, MOST = 4, 16
"""Bounds of how many settings are asked for together, where the recipe does not say."""


@dataclass(frozen=True)
class Budget:
    """How much a search may try. At least one limit is set.

    Args:
        trials: Settings in all stages together, failed ones included; None for no limit.
        minutes: Time during which new settings are asked for; what was begun is finished. It counts while any worker
            is at work, interruptions left out. None for no limit.
    """

    trials: int | None = None
    minutes: float | None = None

    def extended(self, other: "Budget") -> "Budget":
        """Return the larger of two budgets, limit by limit; None in `other` leaves a limit as it is."""
        return Budget(_larger(self.trials, other.trials), _larger(self.minutes, other.minutes))


def population_size(trials: int) -> int:
    """Return how many settings are asked for together where the recipe does not say.

    Args:
        trials: Settings to try in all, ≥ 1.

    Returns:
        Many train cheaply at once, few learn from each other more.
    """
    return max(LEAST, min(MOST, trials // 4))


def trials_left(budget: Budget, stage: int, stages: int, planned: Mapping[int, int]) -> int | None:
    """Return how many settings a stage may still ask for.

    What earlier stages did not take and what they took too much is shared equally by this stage and those after it, the
    remainder by the later ones: so a budget that grows after the last stage began goes to it.

    Args:
        budget: The budget.
        stage: The stage, from 1: the last that was begun.
        stages: Number of stages.
        planned: Settings planned so far, by stage.

    Returns:
        The number, ≥ 0; None for no limit.
    """
    if budget.trials is None:
        return None
    left = budget.trials - sum(count for other, count in planned.items() if other < stage)
    return max(left // (stages - stage + 1) - planned.get(stage, 0), 0)


def time_is_over(budget: Budget, stage: int, stages: int, seconds: float) -> bool:
    """Return whether a stage may ask no more, for its equal share of the time is used.

    Args:
        budget: The budget.
        stage: The stage, from 1.
        stages: Number of stages.
        seconds: Time used by the whole search.

    Returns:
        Whether `stage` parts of the time are over.
    """
    return budget.minutes is not None and seconds >= 60 * budget.minutes * stage / stages


def _larger(one: Number | None, other: Number | None) -> Number | None:
    return one if other is None else other if one is None else max(one, other)
