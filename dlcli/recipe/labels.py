"""By what the items of a list of components are addressed: their id, or else their bare name."""

from collections.abc import Mapping, Sequence
from typing import Any


def bare_name(item: Any) -> str | None:
    """Return the name of a component without its package; None where it has none."""
    name = item.get("name") if isinstance(item, Mapping) else item
    return name.rpartition(":")[2] if isinstance(name, str) else None


def labels(items: Sequence[Any]) -> list[str | None]:
    """Return what each item of a list is addressed by; None for what is no component."""
    ids = [item.get("id") if isinstance(item, Mapping) else None for item in items]
    return [given if isinstance(given, str) else bare_name(item) for given, item in zip(ids, items, strict=True)]


def key_text(path: Sequence[str | int], table: Any) -> str:
    """Return a path as the user writes it: dots between keys; items by id or name where it is theirs alone.

    Args:
        path: Keys and list positions.
        table: The table that the path starts from.

    Returns:
        Such as `regularizers.early_stopping.patience` or `train.metrics[1]`.
    """
    text, node = "", table
    for place, part in enumerate(path):
        if isinstance(part, int):
            known = labels(node) if isinstance(node, list) else []
            label = known[part] if part < len(known) else None
            addressed = label is not None and known.count(label) == 1 and place < len(path) - 1
            text += f".{label}" if addressed else f"[{part}]"
            node = node[part] if part < len(known) else None
        else:
            bare = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
            text += f".{part}" if bare else f'."{part}"'
            node = node.get(part) if isinstance(node, Mapping) else None
    return text.removeprefix(".")
