"""In what two resolved recipes differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from dlcli.recipe.labels import labels
from dlcli.recipe.wording import shown


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say in what two resolved recipes differ, a line for each key.

    Args:
        first: What was.
        second: What is now.

    Returns:
        Such as `train.epochs: 30 → 40`; empty where they are equal.
    """
    return list(_walk("", first, second))


def _walk(path: str, first: Any, second: Any) -> Iterator[str]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in [*first, *(key for key in second if key not in first)]:
            yield from _walk(f"{path}.{key}" if path else key, first.get(key), second.get(key))
    elif _is_addressed(first) and _is_addressed(second):
        before, after = labels(first), labels(second)
        if before != after:
            yield f"{path}: {shown(before)} → {shown(after)}"
        for label in before:
            if label in after:
                yield from _walk(f"{path}.{label}", first[before.index(label)], second[after.index(label)])
    elif first != second:
        yield f"{path}: {shown(first)} → {shown(second)}"


def _is_addressed(value: Any) -> bool:
    """Return whether this is a list of components, each with an address of its own."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        return False
    known = labels(value)
    return None not in known and len(set(known)) == len(known)
