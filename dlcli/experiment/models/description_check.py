"""What must agree within the description of a model, whoever wrote it."""

import math
import re
from collections.abc import Mapping
from typing import Any

from dlcli.contracts.field import KINDS_OF_FIELDS, ROLES, Field
from dlcli.contracts.task import Task
from dlcli.experiment.models.model import ModelDescription

LARGEST_ROW = 2**40
"""Numbers in a row of a field at most."""
MOST_DIMENSIONS = 8
DTYPE = re.compile(r"bool|u?int(8|16|32|64)|b?float(16|32|64)")


def read_field(table: Any) -> Field:
    """Read a field, strictly.

    Args:
        table: The field as JSON has it.

    Returns:
        The field.

    Raises:
        ValueError: It is no field.
        TypeError: It is no table, or has unknown keys.
    """
    field = Field(**{**table, **{key: tuple(table[key]) for key in ("shape", "classes", "names")}})
    texts = (field.name, field.dtype, *field.classes, *field.names, *([] if field.of is None else [field.of]))
    if not all(isinstance(text, str) for text in texts) or not field.name or not field.name.isprintable():
        raise ValueError(f"the field {field.name!r} has names that are no texts")
    if field.role not in ROLES or field.kind not in KINDS_OF_FIELDS or not DTYPE.fullmatch(field.dtype):
        raise ValueError(f"the field {field.name!r} is said to be {field.role!r}, {field.kind!r} of {field.dtype!r}")
    sizes_are_sound = len(field.shape) <= MOST_DIMENSIONS and all(
        isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in field.shape
    )
    if not sizes_are_sound or math.prod(field.shape) > LARGEST_ROW:
        raise ValueError(f"the field {field.name!r} has the shape {field.shape[:MOST_DIMENSIONS]}")
    return field


def check_description(description: ModelDescription) -> None:
    """See that what a network is built for is what its fields give, and what its task asks for.

    Args:
        description: The description.

    Raises:
        ValueError: Something contradicts something else.
    """
    io = description.io
    given, named = _names(description.inputs), _names(description.conditions)
    if not given or _names(io.inputs) != given or _names(io.conditions) not in ((), named):
        raise ValueError(
            f"the network takes {_listed(io.inputs, io.conditions)}, the fields are {_listed(given, named)}"
        )
    names = _names(description.fields)
    if len({*names, description.target.name}) <= len(names):
        raise ValueError(f"two fields have one name: {', '.join(names)}, {description.target.name}")
    if not all(isinstance(name, str) for name in (*io.classes, *io.targets)):
        raise ValueError("names of classes and targets are no texts")
    _check_outputs(description)
    unknown = {*description.preprocess, *description.columns} - set(names)
    if unknown:
        raise ValueError(f"there is no field {sorted(unknown)[0]!r} to preprocess")


def _check_outputs(description: ModelDescription) -> None:
    io, target = description.io, description.target
    count, targets = io.outputs, target.shape[-1] if target.shape else 1
    if io.task is Task.REGRESSION:
        right, classes = targets * description.loss.outputs_per_target, 0
    elif io.task is Task.BINARY:
        right, classes = 1, 2
    else:
        right = classes = len(io.classes)
    if isinstance(count, bool) or count < 1 or count != right or len(io.classes) != classes:
        raise ValueError(f"{io.task} with {count} outputs and {len(io.classes)} classes")
    if target.names and not io.task.classifies and len(target.names) != targets:
        raise ValueError(f"{targets} targets, and {len(target.names)} names of them")


def whole(value: object) -> int:
    """Return a value that is a whole number; raises `ValueError` for any other."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def table_of(value: object) -> Mapping[str, Any]:
    """Return a value that is a table; raises `ValueError` for any other."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, got {type(value).__name__}")
    return value


def list_of(value: object) -> list[Any]:
    """Return a value that is a list; raises `ValueError` for any other."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


def _names(fields: tuple[Field, ...]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


def _listed(*groups: tuple[Any, ...]) -> str:
    return ", ".join(str(getattr(each, "name", each)) for group in groups for each in group) or "none"
