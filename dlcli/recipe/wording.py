"""How types and values are put into words in messages."""

import json
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from dlcli.contracts.component import Component
from dlcli.recipe.keys import alternatives
from dlcli.registry import with_article

PLAIN = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
LONGEST = 80


def shown(value: Any) -> str:
    """Return a value as a recipe would have it, cut where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + " }" if value else "{}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item) for item in value) + "]"
    elif isinstance(value, str | bool):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def expected(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Return in words what a type allows, such as `a whole number ≥ 1`; empty where no words are known.

    Args:
        annotation: A field's type.
        metadata: What the field adds to it, such as limits.

    Returns:
        A phrase that fits after "expected".
    """
    phrases = [_phrase(choice, limits) for choice, limits in alternatives(annotation, metadata)]
    return " or ".join(dict.fromkeys(phrases)) if all(phrases) else ""


def _phrase(choice: Any, limits: dict[str, Any]) -> str:
    if choice in PLAIN:
        signs = [f"{sign} {limits[name]:g}" for name, sign in SIGNS.items() if name in limits]
        multiple = [f"a multiple of {limits['multiple_of']:g}"] if "multiple_of" in limits else []
        form = [f"of the form {limits['pattern']}"] if "pattern" in limits else []
        size = "of one character" if limits.get("max_length") == 1 else ""
        size = size or ("that is not empty" if limits.get("min_length") == 1 else "")
        return " ".join(part for part in (PLAIN[choice], " and ".join([*signs, *multiple, *form]), size) if part)
    origin, arguments = get_origin(choice), get_args(choice)
    if origin is Literal:
        return _one_of(arguments)
    if origin in (tuple, list):
        return _list_phrase(origin, arguments, limits)
    if not isinstance(origin or choice, type):
        return ""
    if issubclass(choice if origin is None else origin, Enum):
        return _one_of(tuple(item.value for item in choice))
    if origin is None and issubclass(choice, Component):
        return f"{with_article(choice.kind)}: its name, or a table with its name and parameters"
    if origin is dict and arguments and (each := expected(arguments[1])) not in ("", "a table"):
        return f"a table, each value {each}"
    return "a table" if origin is dict or (origin is None and issubclass(choice, BaseModel)) else ""


def _one_of(values: tuple[Any, ...]) -> str:
    *most, last = [shown(value) for value in values]
    return f"{', '.join(most)} or {last}" if most else last


def _list_phrase(origin: Any, arguments: tuple[Any, ...], limits: dict[str, Any]) -> str:
    if not arguments:
        return "a list"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(expected(argument) for argument in arguments)}"
    least = f" of {limits['min_length']} or more" if "min_length" in limits else ""
    most = f" of {limits['max_length']} at most" if "max_length" in limits else ""
    each = expected(arguments[0])
    return f"a list{least}{most}{f', each {each}' if each else ''}"
