"""Coarse to fine: a space narrowed to where the best settings were."""

import math
from collections.abc import Sequence
from dataclasses import replace

from dlcli.contracts.history import Direction
from dlcli.contracts.search import Choice, Distribution, Normal, Setting, Space, Uniform, Value, keys_in_order

SHARE = 5
"""One in so many of the finished trials counts as best."""
FEWEST = 4
"""But at least so many, where there are: two that happen to agree in a key would cut the rest of it off."""
MARGIN = 0.1
"""A range is widened by this share of its span at each end; what has no span keeps this share of the range."""


def narrow(space: Space, finished: Sequence[tuple[Setting, float]], direction: Direction) -> dict[str, Distribution]:
    """Narrow every key to where the best fifth of the finished trials had it, at least four of them.

    A range becomes their span, widened by a tenth of it at each end, of a log range in the logarithm, and clipped to
    the old range; whole numbers are rounded outwards. Where they agree, a tenth of the old range around their value
    is left. A normal distribution keeps its mean and deviation and is cut off likewise. A choice keeps the values
    that occur. A key that was active in none of them stays as it was; one whose condition cannot hold any more goes.

    Args:
        space: The space of the stage that has ended.
        finished: Its finished settings, none that failed, with their scores.
        direction: Whether a smaller or larger score is better.

    Returns:
        The space of the next stage; the same where fewer than two trials have finished.
    """
    if len(finished) < 2:
        return dict(space)
    ranked = sorted(finished, key=lambda each: each[1], reverse=direction == "max")
    best = [setting for setting, _ in ranked[: max(FEWEST, math.ceil(len(ranked) / SHARE))]]
    narrowed: dict[str, Distribution] = {}
    for key in keys_in_order(space):
        distribution = space[key]
        condition = distribution.when
        if condition is not None:
            choice = narrowed.get(condition.key)
            if not isinstance(choice, Choice) or not any(map(condition.met_by, choice.values)):
                continue
        values = [setting[key] for setting in best if key in setting]
        narrowed[key] = _narrow(distribution, values) if values else distribution
    return {key: narrowed[key] for key in space if key in narrowed}


def _narrow(distribution: Distribution, values: Sequence[Value]) -> Distribution:
    if isinstance(distribution, Choice):
        places = {distribution.position(value) for value in values}
        return replace(
            distribution, values=tuple(value for place, value in enumerate(distribution.values) if place in places)
        )
    numbers = [value for value in values if isinstance(value, int | float)]
    if isinstance(distribution, Normal):
        low, high = _widened(min(numbers), max(numbers), distribution.deviation)
        return replace(distribution, low=max(low, distribution.low), high=min(high, distribution.high))
    assert isinstance(distribution, Uniform)
    if distribution.log:
        ends = [math.log(number) for number in (min(numbers), max(numbers), distribution.low, distribution.high)]
        low, high = map(math.exp, _widened(ends[0], ends[1], ends[3] - ends[2]))
    else:
        low, high = _widened(min(numbers), max(numbers), distribution.high - distribution.low)
    # The last bit of an exponential must not cut off the very value that it comes from.
    low, high = min(low, *numbers), max(high, *numbers)
    if distribution.whole:
        low, high = math.floor(low), math.ceil(high)
    return replace(distribution, low=max(low, distribution.low), high=min(high, distribution.high))


def _widened(low: float, high: float, width: float) -> tuple[float, float]:
    """Return a span with its margins; `width` is the old range's, where there is no span."""
    margin = MARGIN * (high - low) if high > low else MARGIN * width / 2
    return low - margin, high + margin
