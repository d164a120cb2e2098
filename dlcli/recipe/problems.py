"""pydantic's findings in our words: where, what is wrong, what was got, what is allowed, what was meant."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from dlcli.errors import PluginError
from dlcli.recipe.keys import Spot, alternatives, component_kind, spot_at, tables
from dlcli.recipe.lines import KeyPath
from dlcli.recipe.model import Recipe
from dlcli.recipe.section import Section
from dlcli.recipe.wording import expected, shown
from dlcli.registry import Registry, with_article

ELSEWHERE = (("data",), ("data", "split"), ("model",), ("train",), ("train", "optimizer"), ("train", "schedule"))
"""Tables in which a key that is in the wrong table is looked for."""


@dataclass(frozen=True)
class Finding:
    """Something wrong at a path of the recipe as the user wrote it.

    Args:
        path: Keys and list positions.
        message: What is wrong, what was got, what is allowed.
    """

    path: KeyPath
    message: str


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `did you mean …?; ` where one of some words is close to a word, else nothing."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean {close[0]!r}?; " if close else ""


def explain(error: ValidationError, table: Mapping[str, Any], registry: Registry) -> list[Finding]:
    """Say what is wrong with a recipe.

    Args:
        error: What pydantic found, in the nested form that it reads.
        table: The recipe as the user wrote it.
        registry: Knows the parameters of components.

    Returns:
        One finding for each place that is wrong.
    """
    findings = []
    for details in error.errors():
        location = details["loc"]
        # Items that are wrong themselves make pydantic count a list as shorter than it is.
        if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
            continue
        too_short = details["type"] == "missing" and isinstance(location[-1], int)
        written = _written(location[:-1] if too_short else location, table, registry)
        if written is not None:
            path, cut = written
            findings.append(_finding(path, too_short or cut, details, table, registry))
    return list(dict.fromkeys(findings))


def _written(
    location: Sequence[str | int], table: Mapping[str, Any], registry: Registry
) -> tuple[KeyPath, bool] | None:
    """Turn pydantic's path into the user's: flat sections have no table of their own, alternatives have no key.

    Also returns whether it was cut at a place where several types are allowed, none of which fits. Where a list of
    tables is one of several types and a list is there, only what is wrong in it counts: None for the other types.
    """
    path: KeyPath = ()
    spot: Spot | None = Spot(Recipe, (), table)
    inside_flat = False
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if spot is None:
            return (*path, *location[position:]), False
        models = tables(spot.annotation)
        flat = next((model for model in models if issubclass(model, Section) and part == model.flat), None)
        if flat is not None and not inside_flat:
            path = (*path, flat.flat_name) if last else path
            inside_flat = True
            continue
        further = spot.step(part, registry)
        if further is None and isinstance(part, str) and _is_list_of_tables(spot):
            if part.startswith("tuple["):
                continue
            return None
        if further is None and not models:
            return path, True
        if further is not None or (last and isinstance(spot.value, Mapping) and part in spot.value):
            path, spot, inside_flat = (*path, part), further, False
    return path, False


def _is_list_of_tables(spot: Spot) -> bool:
    """Return whether a list is where a list of tables is among the types that are allowed."""
    lists = (get_args(choice) for choice, _ in alternatives(spot.annotation) if get_origin(choice) is tuple)
    return isinstance(spot.value, list | tuple) and any(tables(arguments[0]) for arguments in lists)


def _finding(path: KeyPath, whole: bool, details: Any, table: Mapping[str, Any], registry: Registry) -> Finding:
    spot = spot_at(table, path, registry)
    if details["type"] == "extra_forbidden":
        return Finding(path, _unknown(path, table, registry))
    if spot is None:
        return Finding(path, f"{details['msg']}; got {shown(details['input'])}")
    kind = component_kind(spot.annotation)
    wanted = expected(spot.annotation, spot.metadata)
    if details["type"] == "missing" and not whole:
        return Finding(path, f"missing: expected {wanted}" + (f" ({spot.description})" if spot.description else ""))
    if details["type"] in ("value_error", "assertion_error"):
        cause = details["ctx"]["error"]
        if isinstance(cause.__cause__, PluginError):
            named = isinstance(spot.value, Mapping) and "name" in spot.value
            return Finding((*path, "name") if named else path, str(cause))
        if spot.annotation is str and isinstance(details["input"], Mapping):
            # The section's own component: its name is not text; or, past its name, its parameters do not agree.
            if "name" in details["input"]:
                return Finding(path, f"expected {wanted}, got {shown(details['input']['name'])}")
            return Finding(path[:-1], str(cause))
        return _misnamed(path, spot, kind, registry) or Finding(path, str(cause))
    got = spot.value if whole else details["input"]
    return Finding(path, f"expected {wanted}, got {shown(got)}" if wanted else f"{details['msg']}; got {shown(got)}")


def _misnamed(path: KeyPath, spot: Spot, kind: str | None, registry: Registry) -> Finding | None:
    """Say so where a component should be and neither a name nor a table with a name is there."""
    if kind is None or isinstance(spot.value, str):
        return None
    names = ", ".join(dict.fromkeys(entry.name for entry in registry.entries(kind))) or "none"
    if not isinstance(spot.value, Mapping):
        return Finding(path, f"expected {expected(spot.annotation)}, got {shown(spot.value)}; there are {names}")
    name = spot.value.get("name")
    if isinstance(name, str):
        return None
    got = f", got {shown(name)}" if "name" in spot.value else ""
    return Finding((*path, "name"), f"{with_article(kind)} needs its name{got}; there are {names}")


def _unknown(path: KeyPath, table: Mapping[str, Any], registry: Registry) -> str:
    """Say which keys there are, and which one may have been meant."""
    key = str(path[-1])
    parent = spot_at(table, path[:-1], registry)
    allowed = list(parent.fields(registry)) if parent else []
    meant = did_you_mean(key, allowed)
    homes = [home for home in ELSEWHERE if home != path[:-1] and spot_at(table, (*home, key), registry)]
    if homes and not meant and key != "name":
        meant = f"did you mean {'.'.join((*homes[0], key))}?; "
    return f"unknown key {key!r}; {meant}allowed here: {', '.join(allowed)}"
