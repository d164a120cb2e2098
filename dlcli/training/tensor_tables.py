"""Nested tables of tensors as flat lists and back, for functions that take tensors alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def flatten(value: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and mappings, in order; None holds none."""
    found: list[Tensor] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect(item, found)
    elif value is not None:
        for item in value:
            _collect(item, found)


def unflatten(like: Any, tensors: list[Tensor]) -> Any:
    """Return a structure like another with other tensors in it."""
    return _rebuild(like, iter(tensors))


def _rebuild(like: Any, tensors: Iterator[Tensor]) -> Any:
    if like is None:
        return None
    if isinstance(like, Tensor):
        return next(tensors)
    if isinstance(like, Mapping):
        return {key: _rebuild(item, tensors) for key, item in like.items()}
    items = [_rebuild(item, tensors) for item in like]
    if isinstance(like, list):
        return items
    return type(like)(*items) if hasattr(like, "_fields") else tuple(items)
