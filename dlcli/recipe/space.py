"""`[tune.space]` as a space to search, and back."""

import math
from collections.abc import Mapping
from typing import Any

from dlcli.contracts.search import Choice, Condition, Distribution, Limits, Normal, Space, Uniform, Value
from dlcli.recipe.keys import Spot, alternatives, spot_at
from dlcli.recipe.model import Recipe
from dlcli.recipe.resolved import resolve, toml_key, toml_value
from dlcli.recipe.setting import apply_setting
from dlcli.recipe.tune_section import SpaceEntry
from dlcli.registry import Registry


def read_space(recipe: Recipe, registry: Registry) -> dict[str, Distribution]:
    """Return what a recipe tunes.

    Args:
        recipe: A checked recipe.
        registry: Knows the limits of components' parameters, at which a normal distribution is cut off.

    Returns:
        The space, in the order of the recipe; empty where it tunes nothing.
    """
    entries = recipe.tune.space if recipe.tune else {}
    limits = read_limits(recipe, registry)
    return {key: read_entry(entry, limits[key]) for key, entry in entries.items()}


def read_limits(recipe: Recipe, registry: Registry) -> dict[str, Limits]:
    """Return between which numbers each tuned key makes sense, whatever is searched.

    Args:
        recipe: A checked recipe.
        registry: Knows the limits of components' parameters.

    Returns:
        The limits of each key of the space; no limits for one that is no number.
    """
    entries = recipe.tune.space if recipe.tune else {}
    space = {key: read_entry(entry) for key, entry in entries.items()}
    table = resolve(recipe, registry)
    found = {}
    for key, distribution in space.items():
        setting = {**required(space, key), key: distribution.at(0.5)}
        changed, paths = apply_setting(table, setting, registry)
        spot = spot_at(changed, paths[key], registry)
        found[key] = limits_at(spot) if spot else Limits()
    return found


def required(space: Space, key: str) -> dict[str, Value]:
    """Return a setting of other keys with which a key is active: the first values that its conditions allow."""
    setting: dict[str, Value] = {}
    condition = space[key].when
    while condition is not None:
        choice = space[condition.key]
        assert isinstance(choice, Choice)  # checked with the recipe
        setting[condition.key] = next(value for value in choice.values if condition.met_by(value))
        condition = choice.when
    return setting


def limits_at(spot: Spot) -> Limits:
    """Return the limits of a place of a recipe; none where no number belongs there."""
    for kind, limits in alternatives(spot.annotation, spot.metadata):
        if kind in (int, float):
            low, low_open = max((limits.get("ge", -math.inf), False), (limits.get("gt", -math.inf), True))
            high, high_open = min((limits.get("le", math.inf), False), (limits.get("lt", math.inf), True))
            return Limits(low, high, low_open and math.isfinite(low), high_open and math.isfinite(high))
    return Limits()


def read_entry(entry: SpaceEntry, limits: Limits = Limits()) -> Distribution:  # noqa: B008
    """Return the distribution of an entry.

    Args:
        entry: An entry that has one.
        limits: Where a normal distribution is cut off; by default nowhere.

    Returns:
        The distribution.
    """
    when = None
    if entry.when is not None:
        ((key, values),) = entry.when.items()
        when = Condition(key, values)
    if entry.choice is not None:
        return Choice(entry.choice, when=when)
    if entry.normal is not None:
        low = math.nextafter(limits.low, math.inf) if limits.low_open else limits.low
        high = math.nextafter(limits.high, -math.inf) if limits.high_open else limits.high
        return Normal(*entry.normal, low, high, when=when)
    for ends, log, whole in (
        (entry.uniform, False, False),
        (entry.log_uniform, True, False),
        (entry.int, False, True),
        (entry.log_int, True, True),
    ):
        if ends is not None:
            return Uniform(ends[0], ends[1], log=log, whole=whole, when=when)
    raise AssertionError("an entry without a distribution passed the recipe's checks")


def space_line(key: str, distribution: Distribution) -> str:
    """Return the line of `[tune.space]` that gives a distribution, ready to paste.

    Args:
        key: The tuned key.
        distribution: Where its values come from; limits at which a normal one is cut off are the key's own.

    Returns:
        Such as `"train.optimizer.lr" = { log_uniform = [1e-05, 0.1] }`.
    """
    entry: dict[str, Any] = {}
    if isinstance(distribution, Choice):
        entry["choice"] = _plain(distribution.values)
    elif isinstance(distribution, Uniform):
        kind = ("log_" if distribution.log else "") + ("int" if distribution.whole else "uniform")
        entry[kind] = [distribution.low, distribution.high]
    elif isinstance(distribution, Normal):
        entry["normal"] = [distribution.mean, distribution.deviation]
    if distribution.when is not None:
        entry["when"] = {distribution.when.key: _plain(distribution.when.values)}
    return f"{toml_key(key)} = {toml_value(entry)}"


def _plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
