"""The search `grid`."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from dlcli import (
    Choice,
    Direction,
    Distribution,
    Search,
    Searcher,
    Setting,
    Space,
    Uniform,
    Value,
    derive,
    keys_in_order,
    written,
)

SHUFFLED = 100_000
"""Combinations up to which a grid is shuffled."""


class Grid(Search):
    """Every combination of `points` values a range and all values of the choices, shuffled by the seed.

    The points of a range include both its ends and are equally far apart, of a log range in the logarithm; whole
    numbers are rounded, and equal ones counted once. A normal distribution gives its quantiles (i + ½) / `points`. A
    key whose condition does not hold multiplies nothing. Trial k gets the k-th combination, or the first that nobody
    has; the search ends when each has been tried. Shuffled, so that fewer trials than combinations still try every
    part of each range; a grid of more than 100 000 goes from corner to corner instead, the last key fastest.

    Args:
        points: Points of each range, ≥ 1; 1 means the middle of it.
    """

    name: ClassVar[str] = "grid"

    points: int = Field(5, ge=1, description="points of each range")

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search; earlier results are of no use to it."""
        found = combinations(space, self.points)
        first = list(itertools.islice(found, SHUFFLED + 1))
        if len(first) > SHUFFLED:
            return _GridSearcher(itertools.chain(first, found))
        random.Random(derive(seed, "grid")).shuffle(first)
        return _GridSearcher(iter(first))


def values_of(distribution: Distribution, points: int) -> list[Value]:
    """Return the values of one key, ascending or in the order of the choice."""
    if isinstance(distribution, Choice):
        return list(distribution.values)
    if not isinstance(distribution, Uniform) or points == 1:
        return list(dict.fromkeys(distribution.at((place + 0.5) / points) for place in range(points)))
    low, high = distribution.low, distribution.high
    steps = [place / (points - 1) for place in range(points)]
    numbers = [low * (high / low) ** step if distribution.log else low + step * (high - low) for step in steps]
    numbers[-1] = high  # to the bit
    return list(dict.fromkeys(map(round, numbers) if distribution.whole else numbers))


def combinations(space: Space, points: int) -> Iterator[Setting]:
    """Yield every setting of the grid in a fixed order, made when it is asked for: there may be millions."""
    keys = list(keys_in_order(space))

    def expand(place: int, chosen: dict[str, Value]) -> Iterator[Setting]:
        if place == len(keys):
            yield {key: chosen[key] for key in space if key in chosen}
            return
        key = keys[place]
        condition = space[key].when
        if condition is None or condition.holds(chosen):
            for value in values_of(space[key], points):
                yield from expand(place + 1, {**chosen, key: value})
        else:
            yield from expand(place + 1, chosen)

    yield from expand(0, {})


class _GridSearcher:
    def __init__(self, settings: Iterator[Setting]) -> None:
        self._rest = settings
        self._made: list[Setting] = []
        self._free: dict[int, Setting] = {}
        self._taken: set[str] = set()

    def _make(self, count: int) -> bool:
        """Make the first `count` combinations; return whether there are so many."""
        for setting in itertools.islice(self._rest, max(count - len(self._made), 0)):
            if written(setting) not in self._taken:
                self._free[len(self._made)] = setting
            self._made.append(setting)
        return len(self._made) >= count

    def _take(self, setting: Setting) -> None:
        text = written(setting)
        if text not in self._taken:
            self._taken.add(text)
            self._free = {place: each for place, each in self._free.items() if written(each) != text}

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose the combination of each trial's number, or the first that is left; fewer at the end."""
        settings: list[Setting] = []
        for trial in trials:
            if not (self._make(trial + 1) and trial in self._free):
                # Numbers need not start at 0 in a later stage, and somebody may have had that one.
                while not self._free and self._make(len(self._made) + 1):
                    pass
                if not self._free:
                    break
                trial = min(self._free)
            settings.append(self._free.pop(trial))
            self._taken.add(written(settings[-1]))
        return settings

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Take the setting out of what is left."""
        self._take(setting)

    def pending(self, trial: int, setting: Setting) -> None:
        """Take the setting out of what is left."""
        self._take(setting)
