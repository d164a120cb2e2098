"""A best value at the end of its range: better ones may lie beyond."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dlcli.contracts.search import Limits, Setting, Space, Uniform

NEAR = 0.05
"""A value is at an end when this share of its range, or less, lies between them."""


@dataclass(frozen=True)
class Border:
    """A best value at an end of its range that is no natural limit of the key.

    Args:
        key: The recipe key.
        value: Its best value.
        end: Which end of its range that is at.
        distribution: The range that was searched.
        widened: A wider one.
    """

    key: str
    value: float
    end: Literal["low", "high"]
    distribution: Uniform
    widened: Uniform

    def warning(self, line: str) -> str:
        """Return what to tell the user.

        Args:
            line: The line of the recipe that gives `widened`.

        Returns:
            A sentence, and the line.
        """
        which = "lower" if self.end == "low" else "upper"
        edge = self.distribution.low if self.end == "low" else self.distribution.high
        return (
            f"the best {self.key}, {self.value:.4g}, is at the {which} end of its range, {edge:g}: better values may "
            f"lie beyond; to search there, write\n{line}"
        )


def find_borders(space: Space, best: Setting, limits: Mapping[str, Limits]) -> list[Border]:
    """Find the best setting's values within 5 % of an end of their range, of a log range in the logarithm.

    The range is widened at that end: by a decade where it is logarithmic, else by its own width, but not past the
    key's natural limit. An end that is as far as whole numbers go, or the limit itself, is no border.

    Args:
        space: The space as the user wrote it, before any narrowing.
        best: The best setting.
        limits: The natural limits of each key; a key without an entry has none.

    Returns:
        What there is to tell, in the order of the space.
    """
    found = []
    for key, distribution in space.items():
        value = best.get(key)
        if not isinstance(distribution, Uniform) or not isinstance(value, int | float):
            continue
        for end in _ends(distribution, value):
            widened = _widened(distribution, end, limits.get(key, Limits()))
            if widened != distribution:
                found.append(Border(key, value, end, distribution, widened))
    return found


def _ends(distribution: Uniform, value: float) -> list[Literal["low", "high"]]:
    scale = math.log if distribution.log else float
    low, high, at = scale(distribution.low), scale(distribution.high), scale(value)
    near = NEAR * (high - low)
    ends: list[Literal["low", "high"]] = []
    if at - low <= near:
        ends.append("low")
    if high - at <= near:
        ends.append("high")
    return ends


def _widened(distribution: Uniform, end: Literal["low", "high"], limits: Limits) -> Uniform:
    low, high, whole = distribution.low, distribution.high, distribution.whole
    width = high - low
    if end == "low":
        wider = low / 10 if distribution.log else low - width
        if wider <= limits.low:
            wider = _up_to(low, limits.low, limits.low_open, whole)
        if whole:
            wider = max(math.floor(wider), 1) if distribution.log else math.floor(wider)
        return replace(distribution, low=_short(wider, limits.low, low)) if wider < low else distribution
    wider = high * 10 if distribution.log else high + width
    if wider >= limits.high:
        wider = _up_to(high, limits.high, limits.high_open, whole)
    wider = math.ceil(wider) if whole else wider
    return replace(distribution, high=_short(wider, high, limits.high)) if wider > high else distribution


def _up_to(edge: float, limit: float, is_open: bool, whole: bool) -> float:
    """Return how far a range may go; nine tenths of the way to a limit that is refused itself."""
    if not is_open:
        return limit
    if whole:
        return limit + (1 if limit < edge else -1)
    return edge + 0.9 * (limit - edge)


def _short(number: float, above: float, below: float) -> float:
    """Return a number as people write it, 0.3 and not 0.30000000000000004, if it stays between two others."""
    short = float(f"{number:.6g}")
    return number if isinstance(number, int) or not above < short < below else short
