"""Parameters of single components, as the command line gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dlcli.errors import RecipeError, UsageError
from dlcli.recipe.overrides import parse_override
from dlcli.recipe.wording import expected, shown
from dlcli.registry import Registry


def settings_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return what `--set KEY=VALUE` says.

    Args:
        settings: One text each.

    Returns:
        Values by key.

    Raises:
        UsageError: A setting is no `KEY=VALUE`.
    """
    try:
        return {override.key: override.value for override in map(parse_override, settings)}
    except RecipeError as error:  # there is no recipe here
        raise UsageError("; ".join(map(str, error.problems))) from None


def parameter_problems(
    kind: str, name: str, parameters: Mapping[str, Any], error: ValidationError, registry: Registry
) -> str:
    """Say what is wrong with parameters, each once, in the words in which it is told of recipes.

    Args:
        kind: `importer` or `exporter`.
        name: The component's name, or `distribution:name`.
        parameters: The parameters.
        error: What pydantic found.
        registry: Where components are.

    Returns:
        All of it.
    """
    short = name.removeprefix("dlcli:")
    given = registry.load(registry.find(kind, name)).model_fields
    told: dict[str, str] = {}
    for entry in error.errors():
        key = str(entry["loc"][0]) if entry["loc"] else ""
        field = given.get(key)
        if entry["type"] == "extra_forbidden":
            there = ", ".join(given) or "none"
            message = f"has no parameter {key!r}; it has {there}{_others(kind, key, registry)}"
        elif entry["type"] == "value_error" and not key:
            message = str(entry["ctx"]["error"])
        else:
            wanted = expected(field.annotation, tuple(field.metadata)) if field else ""
            message = f"{key}: expected {wanted or entry['msg']}, got {shown(parameters.get(key))}"
        separator = " " if entry["type"] == "extra_forbidden" else ": "
        told.setdefault(key, f"--format {short}{separator}{message}")
    return "; ".join(told.values())


def _others(kind: str, key: str, registry: Registry) -> str:
    able = [entry.name for entry in registry.entries(kind) if key in entry.load().model_fields]
    return f"; --format {', '.join(able)} has it" if able else ""
