"""Racing: which trials go on to the next fold."""

import statistics
from collections.abc import Mapping, Sequence

from dlcli.contracts.history import Direction
from dlcli.search.trials import Trial

STAND_IN_FOLDS = 2
"""Folds from which on the best of those that are run together may stand in for an incumbent."""


def losers(running: Mapping[int, Sequence[float]], incumbent: Trial | None, direction: Direction) -> dict[int, str]:
    """Decide which trials leave: those whose mean over their folds is worse than the incumbent's worst fold.

    Bergman, Purucker and Hutter, "Don't Waste Your Time: Early Stopping Cross-Validation", arXiv:2405.03389. There the
    first trial has all folds before the next begins; here many begin together, and the best of them stands in.

    Args:
        running: The scores so far of each trial, by its number; at least one each.
        incumbent: The best trial that has all folds; None while there is none: then, from two folds on, the one of
            `running` with the best mean.
        direction: Whether a smaller or larger score is better.

    Returns:
        For each trial that leaves, the reason.
    """
    sign = 1.0 if direction == "min" else -1.0
    means = {number: statistics.fmean(scores) for number, scores in running.items()}
    if incumbent is not None:
        rival, folds, who = incumbent.number, incumbent.fold_scores, "then the best"
    else:
        rival = min(means, key=lambda number: (sign * means[number], number), default=-1)
        folds, who = tuple(running.get(rival, ())), "the best of those beside it"
        if len(folds) < STAND_IN_FOLDS:
            return {}
    worst = max(folds, key=lambda score: sign * score)
    reasons = {}
    for number, mean in means.items():
        if sign * mean > sign * worst:
            done = "one fold" if len(running[number]) == 1 else f"{len(running[number])} folds"
            reasons[number] = (
                f"after {done} its mean {mean:.6g} is worse than {worst:.6g}, the worst fold of trial {rival}, {who}"
            )
    return reasons
