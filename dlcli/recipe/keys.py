"""What may stand at each place of a recipe: the models are walked beside the table, components included."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dlcli.contracts.component import Component
from dlcli.errors import PluginError
from dlcli.recipe.model import Recipe
from dlcli.recipe.section import Section
from dlcli.registry import Registry

LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
"""The limits that a field may have, as pydantic names them."""


def alternatives(annotation: Any, metadata: Sequence[Any] = ()) -> list[tuple[Any, dict[str, Any]]]:
    """Return the types that an annotation allows, None left out, each with its limits.

    Args:
        annotation: A field's type.
        metadata: What the field adds to it.

    Returns:
        Types that are neither unions nor annotated, each with its limits by name.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return alternatives(inner, [*more, *metadata])
    if origin in (Union, types.UnionType):
        return [found for choice in get_args(annotation) for found in alternatives(choice, metadata)]
    return [] if annotation is types.NoneType else [(annotation, _limits(metadata))]


def _limits(metadata: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for mark in metadata:
        for item in mark.metadata if isinstance(mark, FieldInfo) else (mark,):
            found.update({name: getattr(item, name) for name in LIMITS if getattr(item, name, None) is not None})
    return found


def component_kind(annotation: Any) -> str | None:
    """Return the kind of component that a type asks for, None where it asks for none."""
    for choice, _ in alternatives(annotation):
        if isinstance(choice, type) and issubclass(choice, Component):
            return choice.kind
    return None


def tables(annotation: Any) -> list[type[BaseModel]]:
    """Return the models among the types that an annotation allows."""
    return [
        choice for choice, _ in alternatives(annotation) if isinstance(choice, type) and issubclass(choice, BaseModel)
    ]


def short_key(annotation: Any) -> str | None:
    """Return the key of a table that a bare string in its place stands for, None where a string is no table."""
    if component_kind(annotation) is not None:
        return "name"
    return next((model.short for model in tables(annotation) if issubclass(model, Section)), None)


def takes_list(annotation: Any) -> bool:
    """Return whether a list is among what a type allows."""
    return any(get_origin(choice) in (tuple, list) for choice, _ in alternatives(annotation))


@dataclass(frozen=True)
class Spot:
    """One place of a recipe.

    Args:
        annotation: The type that belongs there.
        metadata: What its field adds to the type.
        value: What is there; the default where the recipe is silent, None where there is no default.
        description: What the field is for.
    """

    annotation: Any
    metadata: tuple[Any, ...]
    value: Any
    description: str = ""

    def fields(self, registry: Registry) -> dict[str, FieldInfo]:
        """Return the keys that a table here may hold; none where no table belongs here or nobody knows its keys."""
        found: dict[str, FieldInfo] = {}
        for model in tables(self.annotation):
            if issubclass(model, Component):
                found.update(_component_fields(model.kind, self.value, "name", registry))
            elif issubclass(model, Section) and model.flat is not None:
                own = dict(model.model_fields)
                kind = component_kind(own.pop(model.flat).annotation)
                found.update(_component_fields(str(kind), self.value, model.flat_name, registry))
                found.update(own)
            else:
                found.update(model.model_fields)
        return found

    def step(self, part: str | int, registry: Registry) -> "Spot | None":
        """Return the place one key or list position further; None where nothing belongs there."""
        inner = _item(self.value, part)
        if isinstance(part, str):
            field = self.fields(registry).get(part)
            if field is not None:
                default = None if field.is_required() else field.get_default(call_default_factory=True)
                value = default if inner is None else inner
                return Spot(field.annotation, tuple(field.metadata), value, field.description or "")
        for choice, _ in alternatives(self.annotation):
            arguments = get_args(choice)
            origin = get_origin(choice)
            if isinstance(part, int) and origin in (tuple, list) and arguments:
                same = origin is list or arguments[-1] is Ellipsis
                return Spot(arguments[0 if same else min(part, len(arguments) - 1)], (), inner)
            if isinstance(part, str) and origin is dict:
                return Spot(arguments[1], (), inner)
        return None


def _item(value: Any, part: str | int) -> Any:
    """Return what a table or list holds, None where it holds no such thing."""
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(part, int) and isinstance(value, list | tuple) and part < len(value):
        return value[part]
    return None


def _component_fields(kind: str, value: Any, name_key: str, registry: Registry) -> dict[str, FieldInfo]:
    """Return the key that names a component, and the parameters of the one that is named."""
    name = value if isinstance(value, str) else _item(value, name_key)
    names = ", ".join(dict.fromkeys(entry.name for entry in registry.entries(kind))) or "none"
    found = {name_key: FieldInfo(annotation=str, description=f"which {kind}; there are {names}")}
    if isinstance(name, str):
        try:
            found.update(registry.load(registry.find(kind, name)).model_fields)
        except PluginError:
            return found  # Told where the component itself is read.
    return found


def spot_at(table: Mapping[str, Any], path: Sequence[str | int], registry: Registry) -> Spot | None:
    """Return what belongs at a path of a recipe.

    Args:
        table: The recipe as the user wrote it.
        path: Keys and list positions.
        registry: Knows the parameters of components.

    Returns:
        The place; None where nothing belongs there.
    """
    spot: Spot | None = Spot(Recipe, (), table)
    for part in path:
        if spot is None:
            return None
        spot = spot.step(part, registry)
    return spot


def value_at(table: Mapping[str, Any], path: Sequence[str | int], registry: Registry) -> Any:
    """Return the value at a path of a recipe, its default where the recipe is silent, else None."""
    spot = spot_at(table, path, registry)
    return None if spot is None else spot.value
