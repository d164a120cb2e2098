"""The contract of a search, and the space that it asks from."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar, Protocol

from dlcli.contracts.component import Component
from dlcli.contracts.history import Direction

Value = float | int | str | bool | None | tuple["Value", ...] | Mapping[str, "Value"]
"""What a recipe key may be set to."""
Setting = Mapping[str, Value]
"""A value for each tuned recipe key that is active; a key whose condition does not hold is absent."""


@dataclass(frozen=True)
class Condition:
    """When a key belongs to a setting: another key, a choice, has one of some values.

    Args:
        key: The other key of the space.
        values: Its values that make the key active; a value that is a table is meant by its name.
    """

    key: str
    values: tuple[Value, ...]

    def holds(self, setting: Setting) -> bool:
        """Return whether a setting has one of the values; where the other key is absent, it has none."""
        return self.key in setting and self.met_by(setting[self.key])

    def met_by(self, value: Value) -> bool:
        """Return whether this value of the other key makes the key active."""
        names = [written(value)]
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            names.append(written(value["name"]))
        return any(written(wanted) in names for wanted in self.values)


def written(value: Value) -> str:
    """Return a value as one line of JSON, equal for equal values: lists as tuples, but 1, 1.0 and true apart."""
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Distribution(ABC):
    """Where the values of one key come from: `Uniform`, `Normal` or `Choice`.

    Args:
        when: When the key is active; None for always.
    """

    when: Condition | None = field(default=None, kw_only=True)

    @abstractmethod
    def at(self, quantile: float) -> Value:
        """Return the value at a quantile in [0, 1)."""

    @abstractmethod
    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the distribution's."""


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform over [low, high], or over its logarithm.

    Args:
        low: Smallest value; > 0 where `log`.
        high: Largest value, ≥ low.
        log: Whether the logarithm is uniform.
        whole: Whether values are whole numbers, both ends included; they are then ints.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, quantile: float) -> float | int:
        """Return the value at a quantile in [0, 1)."""
        # Half a step more at each end, so that rounding gives both ends their share.
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = (
            math.exp(math.log(low) + quantile * (math.log(high) - math.log(low)))
            if self.log
            else low + quantile * (high - low)
        )
        if self.whole:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(value, self.low), self.high)  # the last bit may leave the range

    def quantile(self, value: float) -> float:
        """Return the share of the range below a value, in [0, 1]: the inverse of `at`, in the middle of its step."""
        half = 0.5 if self.whole else 0.0
        low, high, at = self.low - half, self.high + half, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.0

    def contains(self, value: Value) -> bool:
        """Return whether a value is a number in the range, a whole one where they all are."""
        numeric = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        return numeric and self.low <= value <= self.high  # type: ignore[operator]


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal around a mean, cut off at `low` and `high`.

    Args:
        mean: Mean of the normal distribution before it is cut, in [low, high].
        deviation: Its standard deviation, > 0.
        low: Smallest value; by default none.
        high: Largest value; by default none.
    """

    mean: float
    deviation: float
    low: float = -math.inf
    high: float = math.inf

    def at(self, quantile: float) -> float:
        """Return the value at a quantile in [0, 1)."""
        normal = NormalDist(self.mean, self.deviation)
        below, above = normal.cdf(self.low), normal.cdf(self.high)
        # Six deviations at most: nobody wants the infinite value at the quantile 0.
        inside = min(max(below + quantile * (above - below), 1e-9), 1 - 1e-9)
        return min(max(normal.inv_cdf(inside), self.low), self.high)

    def quantile(self, value: float) -> float:
        """Return the share of values below one, in [0, 1]: the inverse of `at`."""
        normal = NormalDist(self.mean, self.deviation)
        below, above = normal.cdf(self.low), normal.cdf(self.high)
        return min(max((normal.cdf(value) - below) / (above - below), 0.0), 1.0) if above > below else 0.0

    def contains(self, value: Value) -> bool:
        """Return whether a value is a number that is not cut off."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values.

    Args:
        values: The values, at least one; lists among them are tuples.
    """

    values: tuple[Value, ...]

    def at(self, quantile: float) -> Value:
        """Return the value at a quantile in [0, 1)."""
        return self.values[int(quantile * len(self.values))]

    def position(self, value: Value) -> int | None:
        """Return the place of a value among the values, whether its lists are lists or tuples; None if it is none."""
        text = written(value)
        return next((place for place, one in enumerate(self.values) if written(one) == text), None)

    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the values."""
        return self.position(value) is not None


Space = Mapping[str, Distribution]
"""A distribution for each tuned recipe key. Conditions name keys of the space and have no cycles."""


@dataclass(frozen=True)
class Limits:
    """Between which numbers a recipe key makes sense, whatever is searched.

    Args:
        low: Smallest number; by default there is none.
        high: Largest number; by default there is none.
        low_open: Whether `low` itself is refused.
        high_open: Whether `high` itself is refused.
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False


def keys_in_order(space: Space) -> Iterator[str]:
    """Yield the keys of a space, each after the one that its condition names; otherwise in the space's order."""
    done: set[str] = set()

    def settle(key: str) -> Iterator[str]:
        if key not in done:
            done.add(key)
            condition = space[key].when
            if condition is not None and condition.key in space:
                yield from settle(condition.key)
            yield key

    for key in space:
        yield from settle(key)


def compose(space: Space, pick: Callable[[str, Distribution], Value]) -> dict[str, Value]:
    """Make a setting by picking a value for each key that is active.

    Args:
        space: The space.
        pick: Gives the value of a key; called in the order of `keys_in_order`.

    Returns:
        The setting, in the order of the space.
    """
    picked: dict[str, Value] = {}
    for key in keys_in_order(space):
        condition = space[key].when
        if condition is None or condition.holds(picked):
            picked[key] = pick(key, space[key])
    return {key: picked[key] for key in space if key in picked}


def belongs(space: Space, setting: Setting) -> bool:
    """Return whether a setting has exactly the active keys of a space, each with a value of its distribution."""
    active = {
        key for key, each in space.items() if each.when is None or each.when.holds(setting)
    }  # a condition on an absent key does not hold, so neither does one on a key that it made absent
    return active == setting.keys() and all(space[key].contains(value) for key, value in setting.items())


class Searcher(Protocol):
    """A search under way in one process; it is told what the others try, too, and numbers no trials itself."""

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose settings to be tried together; those asked for and not told yet count as running.

        Args:
            trials: Permanent numbers of the trials, from 0, that nobody has asked for before.

        Returns:
            A setting for each of the first of them; fewer where nothing else is left to try, [] at the end.
        """
        ...

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Report a finished trial, whoever ran it; what was told already is not told twice.

        Args:
            trial: Its number.
            setting: Its setting; also one that nobody proposed.
            score: Its score; None where it failed.
        """
        ...

    def pending(self, trial: int, setting: Setting) -> None:
        """Report a trial that somebody else runs.

        Args:
            trial: Its number.
            setting: Its setting.
        """
        ...


class Search(Component):
    """Proposes settings and learns from their scores."""

    kind: ClassVar[str] = "search"

    @abstractmethod
    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start a search, or take one up: what happened before is told to the searcher.

        Args:
            space: What to search.
            direction: Whether a smaller or larger score is better.
            seed: Seed of the search; proposals are a function of it, the trial's number, the key and what was told,
                so that two processes with one seed never propose the same.
            previous: Finished settings of an earlier, shorter stage, with their scores; those that do not belong to
                the space are passed by.

        Returns:
            The search under way.

        Raises:
            PluginError: A package that the search needs is not installed; says how to install it.
        """
