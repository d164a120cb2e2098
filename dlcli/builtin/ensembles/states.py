"""Which states of one training are taken."""

from collections.abc import Sequence
from typing import Literal

from dlcli import Combination, Context, KeptStates, MemberResult, MemberSpecification
from dlcli.builtin.ensembles.averaging import best_first
from dlcli.builtin.ensembles.members import names

DEFAULT_CHECKPOINTS = 5
"""How many states of one training where the recipe says nothing."""

Which = Literal["last", "best"]


def to_train(strategy: str, context: Context, which: Which) -> list[MemberSpecification]:
    """Return the one network whose states are wanted.

    Args:
        strategy: Who wants them.
        context: Its context; `members` says how many states, by default 5.
        which: Of the last epochs or of the best.

    Returns:
        Its specification.

    Raises:
        ValueError: There are fewer epochs than that.
    """
    count = context.members or DEFAULT_CHECKPOINTS
    if count > context.epochs:
        raise ValueError(
            f"{strategy} is to take {count} checkpoints, one an epoch, but train.epochs is {context.epochs}; "
            "raise it, or lower ensemble.members"
        )
    return [MemberSpecification("network", keep=KeptStates("last_n" if which == "last" else "best_n", count))]


def of_one_training(members: tuple[MemberResult, ...]) -> bool:
    """Return whether models are states of one training."""
    return len({member.specification for member in members}) == 1


def chosen(context: Context, members: tuple[MemberResult, ...], which: Which, count: int) -> list[MemberResult]:
    """Return so many of the states of one training, the last or the best first.

    Args:
        context: Says whether a smaller or a larger score is better.
        members: The states.
        which: The last or the best.
        count: How many; all where there are fewer.

    Returns:
        Those states.
    """
    if which == "best":
        return best_first(members, context.direction)[:count]
    return sorted(members, key=lambda member: -member.epoch)[:count]


def need_a_cycle(context: Context, results: Sequence[MemberResult], cycles: int, epochs: int) -> None:
    """Say so where a training ended before its last cycle.

    Args:
        context: Tells the user.
        results: The states at the ends of its cycles.
        cycles: How many were meant to be.
        epochs: Length of a cycle in epochs.

    Raises:
        ValueError: There is none.
    """
    why = "a training in cycles must not be stopped early: take early_stopping out of the recipe"
    if not results:
        raise ValueError(f"training ended before the first of {cycles} cycles of {epochs} epochs did; {why}")
    if len(results) < cycles:
        context.note(f"training ended after {len(results)} of {cycles} cycles; {why}")


def mean_of(context: Context, taken: Sequence[MemberResult]) -> Combination:
    """Return the combination of states whose answers are averaged, and tell what it is with each one more."""
    for count in range(1, len(taken)):
        context.reached(Combination(names(taken[:count])))
    combination = Combination(names(taken))
    context.reached(combination)
    return combination
