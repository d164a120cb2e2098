"""A space as JSON, so that every worker searches the same one."""

import math
from collections.abc import Mapping
from typing import Any

from dlcli.contracts.search import Choice, Condition, Distribution, Normal, Setting, Space, Uniform, Value


def space_to_json(space: Space) -> dict[str, Any]:
    """Write a space as JSON values; equal spaces give equal ones.

    Args:
        space: The space.

    Returns:
        A table for each key.
    """
    return {key: _distribution_to_json(distribution) for key, distribution in space.items()}


def space_from_json(found: Mapping[str, Any]) -> dict[str, Distribution]:
    """Read what `space_to_json` wrote.

    Args:
        found: A table for each key.

    Returns:
        The space.

    Raises:
        KeyError: An entry is missing, or a kind is unknown.
        TypeError: An entry is of the wrong type.
    """
    return {key: _distribution_from_json(entry) for key, entry in found.items()}


def frozen(setting: Mapping[str, Any]) -> Setting:
    """Return a setting as read from JSON with its lists made tuples."""
    return {key: _frozen_value(value) for key, value in setting.items()}


def _distribution_to_json(distribution: Distribution) -> dict[str, Any]:
    entry: dict[str, Any]
    if isinstance(distribution, Uniform):
        entry = {
            "kind": "uniform",
            "low": distribution.low,
            "high": distribution.high,
            "log": distribution.log,
            "whole": distribution.whole,
        }
    elif isinstance(distribution, Normal):
        entry = {
            "kind": "normal",
            "mean": distribution.mean,
            "deviation": distribution.deviation,
            "low": distribution.low if math.isfinite(distribution.low) else None,
            "high": distribution.high if math.isfinite(distribution.high) else None,
        }
    elif isinstance(distribution, Choice):
        entry = {"kind": "choice", "values": _thawed(distribution.values)}
    else:
        raise TypeError(f"a space cannot hold a {type(distribution).__name__}: only Uniform, Normal and Choice")
    if distribution.when is not None:
        entry["when"] = {"key": distribution.when.key, "values": _thawed(distribution.when.values)}
    return entry


def _distribution_from_json(entry: Mapping[str, Any]) -> Distribution:
    when = None
    if "when" in entry:
        when = Condition(entry["when"]["key"], tuple(_frozen_value(value) for value in entry["when"]["values"]))
    kind = entry["kind"]
    if kind == "uniform":
        return Uniform(entry["low"], entry["high"], log=entry["log"], whole=entry["whole"], when=when)
    if kind == "normal":
        low = -math.inf if entry["low"] is None else entry["low"]
        high = math.inf if entry["high"] is None else entry["high"]
        return Normal(entry["mean"], entry["deviation"], low, high, when=when)
    if kind == "choice":
        return Choice(tuple(_frozen_value(value) for value in entry["values"]), when=when)
    raise KeyError(kind)


def _frozen_value(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(_frozen_value(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen_value(item) for key, item in value.items()}
    return value  # type: ignore[no-any-return]


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_thawed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _thawed(item) for key, item in value.items()}
    return value
