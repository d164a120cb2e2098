"""JSON Schema of recipes with every installed component, for editors."""

from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from dlcli.contracts.component import Component
from dlcli.recipe.keys import alternatives, component_kind
from dlcli.recipe.model import Recipe
from dlcli.recipe.section import Section
from dlcli.registry import Entry, Registry

Schema = dict[str, Any]

PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean"}
LIMIT_NAMES = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
LENGTH_NAMES = {"min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}


def schema(registry: Registry) -> Schema:
    """Describe every recipe that these components allow.

    Args:
        registry: The installed components; all are imported.

    Returns:
        A JSON Schema (2020-12).
    """
    writer = _Writer(registry)
    root = writer.section(Recipe)
    root["required"] = [key for key in root["required"] if key != "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dlcli recipe",
        **root,
        "description": "What to train on, which network, and how.",
        "$defs": writer.definitions,
    }


def _summary(model: type) -> str:
    """Return the first sentence of a docstring, in one line."""
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


class _Writer:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.definitions: dict[str, Schema] = {}

    def _names(self, entry: Entry) -> list[str]:
        """Return what a component may be called: its bare name only where no other package has it, too."""
        providers = [other for other in self._registry.entries(entry.kind) if other.name == entry.name]
        return [entry.name, entry.label] if len(providers) == 1 else [entry.label]

    def _kind(self, kind: str) -> Schema:
        """Describe a place for a component, once for all places: a name, or a table of one of the components."""
        if kind not in self.definitions:
            self.definitions[kind] = {}  # Known before its components are, which may hold others of the kind.
            tables = []
            for entry in self._registry.entries(kind):
                self.definitions[f"{kind}.{entry.label}"] = self._component(entry)
                tables.append({"$ref": f"#/$defs/{kind}.{entry.label}"})
            self.definitions[kind] = {"anyOf": [self._bare_names(kind), *tables]}
        return {"$ref": f"#/$defs/{kind}"}

    def _bare_names(self, kind: str) -> Schema:
        """Describe the names that will do without parameters."""
        complete = [entry for entry in self._registry.entries(kind) if self._is_complete(entry)]
        names = [name for entry in complete for name in self._names(entry)]
        return {"enum": names} if names else {"not": {}}

    def _is_complete(self, entry: Entry) -> bool:
        """Return whether a component needs no parameters, so that its bare name will do."""
        return not any(field.is_required() for field in self._registry.load(entry).model_fields.values())

    def _component(self, entry: Entry, name_key: str = "name", own: dict[str, FieldInfo] | None = None) -> Schema:
        """Describe the table of one component, with the keys of the section that it is written into, if any."""
        model = self._registry.load(entry)
        described = self._table(model.model_fields, _summary(model))
        beside = {key: self._field(field) for key, field in (own or {}).items()}
        described["properties"] = {name_key: {"enum": self._names(entry)}, **beside, **described["properties"]}
        described["required"] = [name_key, *described["required"]]
        return described

    def section(self, model: type[BaseModel]) -> Schema:
        """Describe a section, or another table."""
        if not issubclass(model, Section) or model.flat is None:
            table = self._table(model.model_fields, _summary(model))
            short = model.short if issubclass(model, Section) else None
            return {"anyOf": [{"type": "string"}, table]} if short else table
        own = dict(model.model_fields)
        kind = str(component_kind(own.pop(model.flat).annotation))
        entries = self._registry.entries(kind)
        tables = [self._component(entry, model.flat_name, own) for entry in entries]
        return {"anyOf": [self._bare_names(kind), *tables] if model.short else tables}

    def _table(self, fields: dict[str, FieldInfo], description: str) -> Schema:
        return {
            "type": "object",
            "description": description,
            "properties": {key: self._field(field) for key, field in fields.items()},
            "required": [key for key, field in fields.items() if field.is_required()],
            "additionalProperties": False,
        }

    def _field(self, field: FieldInfo) -> Schema:
        described = self._type(field.annotation, tuple(field.metadata))
        if field.description:
            described = {"description": field.description, **described}
        told = not (field.is_required() or field.default_factory_takes_validated_data)
        default = field.get_default(call_default_factory=True) if told else None
        if default is not None and default != {}:
            described["default"] = list(default) if isinstance(default, tuple) else default
        return described

    def _type(self, annotation: Any, metadata: tuple[Any, ...] = ()) -> Schema:
        choices = [self._choice(choice, limits) for choice, limits in alternatives(annotation, metadata)]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}

    def _choice(self, choice: Any, limits: dict[str, Any]) -> Schema:
        named = {LIMIT_NAMES[name]: limit for name, limit in limits.items() if name in LIMIT_NAMES}
        lengths = {name: limit for name, limit in limits.items() if name in LENGTH_NAMES}
        origin, arguments = get_origin(choice), get_args(choice)
        if choice in PLAIN:
            return {"type": PLAIN[choice], **named, **{LENGTH_NAMES[name][0]: n for name, n in lengths.items()}}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            size = {LENGTH_NAMES[name][1]: limit for name, limit in lengths.items()}
            if arguments[-1] is Ellipsis:
                return {"type": "array", "items": self._type(arguments[0]), **size}
            count = len(arguments)
            items = [self._type(item) for item in arguments]
            return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}
        if origin is dict:
            return {"type": "object", "additionalProperties": self._type(arguments[1])}
        if isinstance(choice, type) and issubclass(choice, Component):
            return self._kind(choice.kind)
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return self.section(choice)
        if isinstance(choice, type) and issubclass(choice, Enum):
            return {"enum": [item.value for item in choice]}
        return TypeAdapter(choice).json_schema()
