"""Where the datasets of each split lie in a file: split groups, flat, or row indices under /splits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import h5py

from dlcli.data.finding import Finding, error
from dlcli.data.hdf5 import dataset_names, find, way_out
from dlcli.data.mapping import FieldMapping
from dlcli.errors import DataError

SPLITS = ("train", "val", "test")
WHOLE = ""
"""The only part of a file without split groups."""


@dataclass(frozen=True)
class Layout:
    """Which datasets there are.

    Args:
        form: `groups`: a group a split; `flat`: one set of rows, no splits; `indices`: one set of rows, and the row
            numbers of the splits under `/splits`.
        parts: For every split group (or `WHOLE`) its datasets, by field name, in the order of the file.
        indices: The datasets of row numbers, by split.
        findings: What was wrong on the way; datasets that are unsafe to read are left out.
    """

    form: Literal["groups", "flat", "indices"]
    parts: Mapping[str, Mapping[str, h5py.Dataset]]
    indices: Mapping[str, h5py.Dataset]
    findings: list[Finding] = field(default_factory=list)


def find_layout(file: h5py.File, mappings: Mapping[str, FieldMapping]) -> Layout:
    """Find the splits of a file and the datasets in them.

    Args:
        file: The open file.
        mappings: The recipe's `[data.fields]`.

    Returns:
        The layout, with everything that was wrong.
    """
    findings: list[Finding] = []
    paths = {name: mapping.path or name for name, mapping in mappings.items()}
    templates = [path for path in paths.values() if "{split}" in path]
    splits = [
        split
        for split in SPLITS
        if isinstance(_open(file, split, findings), h5py.Group)
        or any(_open(file, path.replace("{split}", split), []) is not None for path in templates)
    ]
    if splits:
        parts = {split: _part(file, split, paths, findings) for split in splits}
        return Layout("groups", parts, {}, findings)
    whole = _part(file, WHOLE, paths, findings)
    group = _open(file, "splits", findings)
    indices: dict[str, h5py.Dataset] = {}
    if isinstance(group, h5py.Group):
        indices = dict(_datasets(file, {split: f"splits/{split}" for split in SPLITS if split in group}, findings))
    return Layout("indices" if indices else "flat", {WHOLE: whole}, indices, findings)


def _part(file: h5py.File, part: str, mapped: Mapping[str, str], findings: list[Finding]) -> dict[str, h5py.Dataset]:
    """Return the datasets of one split group, or of the root: those lying there, then those mapped from elsewhere."""
    group = _open(file, part, findings)
    prefix = f"{part}/" if part else ""
    paths = {
        name: path.replace("{split}", part) if "{split}" in path else prefix + path.strip("/")
        for name, path in mapped.items()
    }
    lying = {name: prefix + name for name in group} if isinstance(group, h5py.Group) else {}
    free = {name: path for name, path in lying.items() if path not in paths.values() and name not in paths}
    found = dict(_datasets(file, free, findings))
    for name, path in paths.items():
        before = len(findings)
        item = dict(_datasets(file, {name: path}, findings))
        found.update(item)
        if not item and len(findings) == before:
            there = ", ".join(dataset_names(group if isinstance(group, h5py.Group) else file)) or "none"
            findings.append(
                error(path, f"there is no such dataset, but data.fields.{name} wants it; there are: {there}")
            )
    # Mapped fields keep their place in the file where they lie in this group, so that the order of inputs does not
    # depend on which of them the recipe has something to say about.
    order = {path: position for position, path in enumerate(lying.values())}
    return dict(sorted(found.items(), key=lambda item: order.get(paths.get(item[0], prefix + item[0]), len(order))))


def _datasets(file: h5py.File, paths: Mapping[str, str], findings: list[Finding]) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets at the given paths that are whole inside the file."""
    for name, path in paths.items():
        item = _open(file, path, findings)
        if not isinstance(item, h5py.Dataset):
            continue
        try:
            out = way_out(file, item)
        except DataError as cause:
            findings.append(error(path, str(cause)))
            continue
        if out is None:
            yield name, item
        else:
            findings.append(error(path, f"{out}; a dataset must be whole in one file: copy that data into it"))


def _open(file: h5py.File, path: str, findings: list[Finding]) -> h5py.Group | h5py.Dataset | None:
    try:
        return find(file, path)
    except DataError as cause:
        if str(cause) not in {finding.message for finding in findings}:
            findings.append(error("", str(cause)))
        return None
