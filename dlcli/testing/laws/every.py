"""Laws that bind components of every kind."""

import json
import re
import tomllib
import typing
from typing import ClassVar

import pytest
import tomlkit
from pydantic import TypeAdapter, ValidationError

from dlcli import Component
from dlcli.testing.law import Case, Law
from dlcli.testing.variants import variants


def builds_from_defaults(case: Case) -> None:
    """It can be made without naming a parameter, and two of them are equal."""
    assert case.component == case.component, f"{case.label}: two made from defaults differ"


def is_documented(case: Case) -> None:
    """Its class has a docstring of its own that begins with a sentence, and every parameter a description.

    A parameter that holds a component needs none: it is described by its kind.
    """
    cls = type(case.component)
    first = (cls.__dict__.get("__doc__") or "").strip().partition("\n")[0]
    assert first.endswith((".", ":", "?")), f"{cls.__name__}: the docstring must begin with a sentence, got {first!r}"
    fields = {k: f for k, f in cls.model_fields.items() if not isinstance(getattr(case.component, k), Component)}
    bare = [key for key, field in fields.items() if not field.description]
    assert not bare, f"{cls.__name__}: {', '.join(bare)} need Field(…, description=…)"


def is_named_in_snake_case(case: Case) -> None:
    """Its public name is snake_case and the same in the registry and in its class."""
    name = type(case.component).name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name), f"{case.label}: the class attribute `name` is {name!r}"
    assert case.label.endswith(f":{name}"), f"{case.label}: the class attribute `name` is {name!r}"


def uses_its_defaults(case: Case) -> None:
    """Made from defaults, it has no parameter that changes nothing."""
    said = case.component.ignored()
    assert said == (), f"{case.label}: with all defaults it says {said}"


MAY_BE_EMPTY = (("exporter", "suffix"), ("importer", "suffixes"), ("importer", "contents"))
"""Class attributes that are empty for a folder, or for what is only asked for by name."""


def states_what_its_kind_asks(case: Case) -> None:
    """It sets every class attribute that its kind declares, with a value of the declared type."""
    cls = type(case.component)
    kind = next(base for base in cls.__mro__ if "kind" in base.__dict__)
    for key, hint in typing.get_type_hints(kind).items():
        if typing.get_origin(hint) is ClassVar and key in kind.__annotations__:
            assert hasattr(cls, key), f"{cls.__name__}: the class attribute `{key}` is missing"
            # From the component: what depends on its parameters is a property.
            value, wanted = getattr(case.component, key), typing.get_args(hint)[0]
            try:
                TypeAdapter(wanted).validate_python(value, strict=True)
            except ValidationError:
                pytest.fail(f"{cls.__name__}: the class attribute `{key}` is {value!r}, expected {wanted}")
            if (case.kind, key) in MAY_BE_EMPTY:
                continue
            assert value not in ("", (), frozenset()), f"{cls.__name__}: the class attribute `{key}` is empty"


def refuses_unknown_parameters(case: Case) -> None:
    """A parameter that it does not have is an error."""
    with pytest.raises(ValidationError, match="no_such_parameter"):
        case.registry.create(case.kind, case.label, no_such_parameter=1)


def round_trips_through_toml_and_json(case: Case) -> None:
    """Written as TOML or JSON and read again it is the same, with its defaults and with other per-member numbers."""
    made = case.component
    for component in (made, *(made.with_per_member(numbers) for numbers in variants(case))):
        table = case.registry.dump(component)
        for text, read in ((tomlkit.dumps(table), tomllib.loads), (json.dumps(table, allow_nan=False), json.loads)):
            again = case.registry.resolve(case.kind, read(text))
            assert again == component, f"{case.label}: read back from\n{text}\nit is {again!r}, but was {component!r}"


LAWS = tuple(
    Law(check)
    for check in (
        builds_from_defaults,
        is_documented,
        is_named_in_snake_case,
        uses_its_defaults,
        states_what_its_kind_asks,
        refuses_unknown_parameters,
        round_trips_through_toml_and_json,
    )
)
