"""Best values that lie at an end of their range, where a better one may lie beyond."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dlcli.contracts.search import Setting, Space, Uniform

NEAR = 0.05
"""Part of a range, of its logarithm where that counts, that is near its end."""
FACTOR = 10.0
"""By how much a logarithmic range is widened; others by as much again as they are wide."""

Limits = Mapping[str, tuple[float | None, float | None]]
"""The least and the largest value that makes sense for a key, whether or not it is allowed itself; None: no limit."""


@dataclass(frozen=True)
class Border:
    """A best value at an end of its range.

    Args:
        key: The key.
        value: Its best value.
        end: Which end it is near.
        found: The range that was searched.
        widened: A range that goes further.
    """

    key: str
    value: float
    end: Literal["low", "high"]
    found: Uniform
    widened: Uniform


def borders(space: Space, best: Setting, limits: Limits) -> list[Border]:
    """Return the values of the best setting that lie within 5 % of an end of their range that is no natural limit.

    Args:
        space: What was searched, as the user wrote it: not narrowed by stages.
        best: The best setting.
        limits: Natural limits of keys; keys without any may be left out.

    Returns:
        The borders, in the order of the space. Only ranges have ends: choices and normal distributions do not.
    """
    return list(_borders(space, best, limits))


def _borders(space: Space, best: Setting, limits: Limits) -> Iterator[Border]:
    for key, found in space.items():
        value = best.get(key)
        if not isinstance(found, Uniform) or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        least, most = limits.get(key, (None, None))
        low, high, at = (math.log(each) if found.log else each for each in (found.low, found.high, value))
        if high <= low:
            continue
        if (at - low) / (high - low) <= NEAR and (least is None or found.low > least):
            yield Border(key, value, "low", found, replace(found, low=_beyond(found, "low", least)))
        elif (high - at) / (high - low) <= NEAR and (most is None or found.high < most):
            yield Border(key, value, "high", found, replace(found, high=_beyond(found, "high", most)))


def _beyond(found: Uniform, end: Literal["low", "high"], limit: float | None) -> float:
    """A round value beyond an end; half way to a limit that is nearer, for the limit itself may not be allowed."""
    edge, sign = (found.low, -1.0) if end == "low" else (found.high, 1.0)
    wanted = edge * FACTOR**sign if found.log else edge + sign * (found.high - found.low)
    if limit is not None and sign * (wanted - limit) >= 0:
        wanted = (edge + limit) / 2
        if found.whole and round(wanted) == edge:
            wanted = limit
    if found.whole:
        # Rounded away from the range, so that it grows.
        whole = math.floor(wanted) if end == "low" else math.ceil(wanted)
        return max(whole, 1) if found.log else whole
    rounded = float(f"{wanted:.2g}")
    inside = limit is None or sign * (limit - rounded) > 0
    return rounded if sign * (rounded - edge) > 0 and inside else wanted


def toml_line(key: str, found: Uniform, when: str = "") -> str:
    """Return the line of `[tune.space]` that gives a key this range.

    Args:
        key: The key.
        found: The range.
        when: The condition as the recipe writes it, such as `when = { … }`; empty for none.

    Returns:
        The line, such as `"train.optimizer.lr" = { log_uniform = [1e-05, 1.0] }`.
    """
    kind = ("log_" if found.log else "") + ("int" if found.whole else "uniform")
    low, high = (str(int(end)) if found.whole else repr(float(end)) for end in (found.low, found.high))
    condition = f", {when}" if when else ""
    return f"{json.dumps(key, ensure_ascii=False)} = {{ {kind} = [{low}, {high}]{condition} }}"
