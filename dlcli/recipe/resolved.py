"""The recipe with every default written out, as a table and as TOML."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import tomlkit

from dlcli.contracts.component import Component
from dlcli.recipe.labels import bare_name
from dlcli.recipe.model import NamedRegularizer, Recipe
from dlcli.recipe.section import Section
from dlcli.registry import Registry

WIDTH = 100


def resolve(recipe: Recipe, registry: Registry) -> dict[str, Any]:
    """Write a recipe out, so that it says all that decides the run and loads as the same recipe.

    Args:
        recipe: The recipe.
        registry: Knows the components' full names.

    Returns:
        A JSON-ready table: components as tables named `distribution:name`, what is None left out.
    """
    return _section(recipe, registry)


def _section(section: Section, registry: Registry) -> dict[str, Any]:
    values = {key: _plain(getattr(section, key), registry) for key in type(section).model_fields}
    table = {key: value for key, value in values.items() if value is not None}
    if section.flat is None:
        return table
    parameters = table.pop(section.flat)
    label = parameters.pop("name")
    if isinstance(section, NamedRegularizer) and section.id == bare_name(label):
        del table["id"]
    return {section.flat_name: label, **table, **parameters}


def _plain(value: Any, registry: Registry) -> Any:
    if isinstance(value, Component):
        return registry.dump(value)
    if isinstance(value, Section):
        return _section(value, registry)
    if isinstance(value, tuple):
        return [_plain(item, registry) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, registry) for key, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def to_toml(table: Mapping[str, Any], comment: str = "") -> str:
    """Write a resolved recipe as people write recipes: a table for each section, components in one line.

    Args:
        table: What `resolve` returned.
        comment: Written at the head, each line after a `#`.

    Returns:
        TOML that parses to the table.
    """
    head = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*head, *_lines(table, "")]) + "\n"


def _lines(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the lines of a table: keys first, as TOML wants it, then the tables inside it."""
    inner: list[tuple[str, str, Mapping[str, Any]]] = []
    for key, value in table.items():
        path = f"{prefix}{toml_key(key)}"
        if _is_section(value, prefix):
            inner.append((path, f"[{path}]", value))
        elif isinstance(value, list) and value and not prefix and all(isinstance(item, Mapping) for item in value):
            inner.extend((path, f"[[{path}]]", item) for item in value)
        else:
            yield f"{toml_key(key)} = {toml_value(value)}"
    for path, header, section in inner:
        yield from ("", header, *_lines(section, f"{path}."))


def _is_section(value: Any, prefix: str) -> bool:
    """Return whether a value gets a header: the recipe's own tables, and tables of tables such as `[data.fields]`."""
    if not isinstance(value, Mapping):
        return False
    return not prefix or (bool(value) and all(isinstance(item, Mapping) for item in value.values()))


def toml_key(key: str) -> str:
    """Return a key as TOML has it, in quotes where it needs them."""
    return tomlkit.key(key).as_string()


def toml_value(value: Any) -> str:
    """Return a value as TOML has it: tables in one line, a list in one line where it fits."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        items = [toml_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= WIDTH else "\n".join(["[", *(f"    {item}," for item in items), "]"])
    return str(tomlkit.item(value).as_string())
