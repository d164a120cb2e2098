"""The contract of a search, and the space that it asks from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from dlcli.contracts.component import Component
from dlcli.contracts.history import Direction

Value = float | int | str | bool | None | tuple["Value", ...] | Mapping[str, "Value"]
"""What a recipe key may be set to."""
Setting = Mapping[str, Value]
"""A value for each tuned recipe key."""


class Distribution(ABC):
    """Where the values of one key come from."""

    @abstractmethod
    def at(self, quantile: float) -> Value:
        """Return the value at a quantile in [0, 1)."""


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform over [low, high], or over its logarithm.

    Args:
        low: Smallest value; > 0 where `log`.
        high: Largest value, > low.
        log: Whether the logarithm is uniform.
        whole: Whether values are whole numbers, both ends included.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, quantile: float) -> float | int:
        """Return the value at a quantile in [0, 1)."""
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = (
            math.exp(math.log(low) + quantile * (math.log(high) - math.log(low)))
            if self.log
            else low + quantile * (high - low)
        )
        return min(max(round(value), int(self.low)), int(self.high)) if self.whole else value


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values.

    Args:
        values: The values, at least one.
    """

    values: tuple[Value, ...]

    def at(self, quantile: float) -> Value:
        """Return the value at a quantile in [0, 1)."""
        return self.values[int(quantile * len(self.values))]


Space = Mapping[str, Distribution]
"""A distribution for each tuned recipe key."""


@dataclass(frozen=True)
class Proposal:
    """A setting to be tried.

    Args:
        trial: Permanent number of the trial, from 0.
        setting: Its values.
    """

    trial: int
    setting: Setting


class Searcher(Protocol):
    """A search under way."""

    def ask(self, count: int) -> Sequence[Proposal]:
        """Propose up to `count` settings together; those pending count as running. Empty: nothing is left to try."""
        ...

    def tell(self, trial: int, score: float | None) -> None:
        """Report a trial's score; None for one that failed."""
        ...


class Search(Component):
    """Proposes settings and learns from their scores."""

    kind: ClassVar[str] = "search"

    @abstractmethod
    def start(self, space: Space, direction: Direction, seed: int) -> Searcher:
        """Start a search.

        Args:
            space: What to search.
            direction: Whether a smaller or larger score is better.
            seed: Seed of the search; proposals are a function of it, the trial's number and what was told.

        Returns:
            The search under way.
        """
