"""Racing: which trials go on to the next fold."""

import statistics
from collections.abc import Mapping, Sequence

from dlcli.contracts.history import Direction
from dlcli.search.trials import Trial


def losers(running: Mapping[int, Sequence[float]], incumbent: Trial | None, direction: Direction) -> dict[int, str]:
    """Decide which trials leave: those whose mean over their folds is worse than the incumbent's worst fold.

    Bergman, Purucker and Hutter, "Don't Waste Your Time: Early Stopping Cross-Validation", arXiv:2405.03389.

    Args:
        running: The scores so far of each trial, by its number; at least one each.
        incumbent: The best trial that has all folds; None while there is none, and nobody leaves.
        direction: Whether a smaller or larger score is better.

    Returns:
        For each trial that leaves, the reason.
    """
    if incumbent is None:
        return {}
    worst = max(incumbent.fold_scores) if direction == "min" else min(incumbent.fold_scores)
    reasons = {}
    for number, scores in running.items():
        mean = statistics.fmean(scores)
        if (mean > worst) if direction == "min" else (mean < worst):
            folds = "one fold" if len(scores) == 1 else f"{len(scores)} folds"
            reasons[number] = (
                f"after {folds} its mean {mean:.6g} is worse than {worst:.6g}, the worst fold of trial "
                f"{incumbent.number}, then the best"
            )
    return reasons
