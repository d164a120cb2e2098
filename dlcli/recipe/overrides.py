"""`--set key=value`: the recipe with some keys set otherwise, as if its file had said so."""

import copy
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dlcli.errors import Problem, RecipeError
from dlcli.recipe.keys import Spot, short_key, spot_at, tables, takes_list
from dlcli.recipe.labels import labels
from dlcli.recipe.lines import KeyPath
from dlcli.recipe.problems import did_you_mean
from dlcli.recipe.section import Section
from dlcli.recipe.wording import shown
from dlcli.registry import Registry

PART = r"""[A-Za-z0-9_-]+|"[^"\\\n]+"|'[^'\n]+'"""
KEY = re.compile(rf"(?:{PART})(?:\.(?:{PART}))*")


class _CannotSetError(Exception):
    """There is no such place in the recipe."""


@dataclass(frozen=True)
class Override:
    """A key and the value that it is to have.

    Args:
        key: Dotted path as the user wrote it.
        path: The same, taken apart.
        value: The value as TOML has it.
    """

    key: str
    path: tuple[str, ...]
    value: Any


def key_path(key: str) -> tuple[str, ...] | None:
    """Take a dotted key apart; None where it is none."""
    return tuple(part.strip("\"'") for part in re.findall(PART, key)) if KEY.fullmatch(key) else None


def parse_override(text: str) -> Override:
    """Read `key=value`. The value is TOML; a word that is not TOML is text, so that names need no quotes.

    Args:
        text: Such as `train.optimizer.lr=3e-4`, `model.hidden=[64, 64]` or `train.optimizer=adam`.

    Returns:
        The key and the value.

    Raises:
        RecipeError: There is no key, no value, or the value starts like TOML and is not.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    path = key_path(key)
    if not equals or path is None or not value:
        raise _refused(text, "expected key=value with a dotted key, such as --set train.optimizer.lr=3e-4")
    try:
        # In braces, so that neither a comment nor a second key can hide in the value.
        parsed = tomllib.loads(f"_ = {{ _ = {value} }}")["_"]
    except tomllib.TOMLDecodeError as error:
        if value[0] in "[{\"'":
            raise _refused(key, f"{value} is not TOML: {error}; the shell keeps quotes in --set '{text}'") from None
        parsed = {"_": value}
    return Override(key, path, parsed["_"] if parsed.keys() == {"_"} else value)


def _refused(key: str, message: str) -> RecipeError:
    return RecipeError([Problem(f"--set {key}", "", message)])


def apply_overrides(
    table: dict[str, Any], overrides: Sequence[Override], registry: Registry
) -> tuple[dict[str, Any], dict[KeyPath, str], list[Problem]]:
    """Set keys of a recipe. The order of different keys does not matter; of equal keys the last one wins.

    A component that is named by a bare string, or left to its default, becomes a table when one of its parameters is
    set; an item of a list of components is addressed by its id or name and must be there.

    Args:
        table: The recipe as the user wrote it; left as it is.
        overrides: What to set.
        registry: Knows which keys hold components, and their defaults.

    Returns:
        The changed recipe; the key as the user wrote it for each path that was set; and a problem for each override
        that has no place, which changes nothing.
    """
    origins: dict[KeyPath, str] = {}
    addresses: dict[KeyPath, list[str | None]] = {}
    problems: list[Problem] = []
    # What replaces a table comes before what changes something in it: outer keys first, and tables before values, for
    # an architecture given as a table replaces the parameters beside it.
    for override in sorted(overrides, key=lambda each: (len(each.path), not isinstance(each.value, dict))):
        changed = copy.deepcopy(table)
        try:
            origins[_set(changed, override, registry, addresses)] = override.key
        except _CannotSetError as error:
            problems.append(Problem(f"--set {override.key}", override.key, str(error)))
        else:
            table = changed
    return table, origins, problems


def _set(
    table: dict[str, Any], override: Override, registry: Registry, addresses: dict[KeyPath, list[str | None]]
) -> KeyPath:
    """Set one key and return its path, list positions included."""
    node: Any = table
    place: KeyPath = ()
    for depth, part in enumerate(override.path):
        last = depth == len(override.path) - 1
        key: str | int = part
        if isinstance(node, list):
            # As they were before any override inside the list, so that setting a name moves no other's address.
            key = _position(part, addresses.setdefault(place, labels(node)), override.path[:depth])
        elif not isinstance(node, dict):
            raise _CannotSetError(f"{'.'.join(override.path[:depth])} is {shown(node)}, which has no keys of its own")
        place = (*place, key)
        if last and isinstance(key, int):
            raise _CannotSetError(f"set one of its parameters, such as {override.key}.…, or the whole list")
        if last:
            _put(node, key, copy.deepcopy(override.value), spot_at(table, place[:-1], registry))
        else:
            node[key] = _table_at(node, key, table, place, registry)
            node = node[key]
    return place


def _put(node: dict[str, Any], key: str | int, value: Any, parent: Spot | None) -> None:
    """Set a key; a component given as a table, whose parameters stand beside its name, replaces all of them."""
    sections = [model for model in tables(parent.annotation) if issubclass(model, Section)] if parent else []
    flat = next((model for model in sections if model.flat is not None and model.flat_name == key), None)
    if flat is not None and isinstance(value, dict) and isinstance(value.get("name"), str):
        own = {name: item for name, item in node.items() if name in flat.model_fields and name != flat.flat}
        name = value.pop("name")
        node.clear()
        node.update({flat.flat_name: name, **own, **value})
    else:
        node[str(key)] = value


def _table_at(node: Any, key: str | int, table: dict[str, Any], place: KeyPath, registry: Registry) -> Any:
    """Return what is at a key in a form in which something can be set: names and defaults become tables."""
    spot = spot_at(table, place, registry)
    there = isinstance(key, int) or key in node
    value = node[key] if there else copy.deepcopy(spot.value if spot else None)
    short = short_key(spot.annotation) if spot else None
    if isinstance(value, str) and short is not None:
        return {short: value}
    if isinstance(value, tuple):
        return list(value)
    if value is None and not there:
        return [] if spot and takes_list(spot.annotation) else {}
    return value


def _position(label: str, known: list[str | None], path: Sequence[str]) -> int:
    names = [name for name in known if name is not None]
    where = ".".join(path)
    if names.count(label) > 1:
        raise _CannotSetError(f"{where} has {label!r} {names.count(label)} times: give each an id of its own")
    if label not in names:
        nothing = "its items have no names: set the whole list" if known else f"the recipe has no {where}"
        there = f"there are {', '.join(names)}" if names else nothing
        raise _CannotSetError(f"{where} has no {label!r}; {did_you_mean(label, names)}{there}; write it there first")
    return known.index(label)
