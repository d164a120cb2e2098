"""Rows of an HDF5 file, whole chunks at a time; no target is needed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from dlcli.contracts.importer import TEXTS, SourceField
from dlcli.data.finding import Finding, error, refuse
from dlcli.data.hdf5 import find, open_hdf5, way_out
from dlcli.data.layout import Layout, find_layout
from dlcli.data.mapping import FieldMapping
from dlcli.data.row_source import RowPart, RowSource
from dlcli.data.stored import declared
from dlcli.errors import DataError


class Hdf5Rows(RowSource):
    """A file of any layout that datasets have.

    Args:
        path: The file.
        wanted: Names of the fields that will be asked for.
        mappings: A recipe's `[data.fields]`; those whose path is not in the file are passed over.

    Raises:
        DataError: It cannot be read, or a wanted field leads out of it.
    """

    def __init__(self, path: Path, wanted: Collection[str], mappings: Mapping[str, FieldMapping]) -> None:
        with open_hdf5(path) as file:
            layout, used = _layout(file, {name: mappings[name] for name in wanted if name in mappings})
            parts = [_part(path, split, datasets, used, wanted) for split, datasets in layout.parts.items()]
            refuse(path, _ways_out(layout, parts, wanted))
            splits, membership = _membership(path, layout)
        super().__init__(path, parts, splits, membership)

    def arrays(self, part: RowPart, names: Sequence[str], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Read fields; as the base says, in whole chunks."""
        with open_hdf5(self.path) as file:
            found = {name: _inside(file, part.fields[name].where) for name in names}
            chunk = max(dataset.chunks[0] if dataset.chunks else 1 for dataset in found.values())
            step = -(-rows // chunk) * chunk
            total = len(found[names[0]])
            for start in range(0, total, step):
                stop = min(start + step, total)
                yield {name: _values(dataset, start, stop) for name, dataset in found.items()}


def _layout(file: h5py.File, mappings: Mapping[str, FieldMapping]) -> tuple[Layout, dict[str, FieldMapping]]:
    """Return where everything lies, and the mappings that fit: a file need not be laid out as the training data."""
    layout = find_layout(file, mappings)
    used = {name: said for name, said in mappings.items() if all(name in part for part in layout.parts.values())}
    return (layout if len(used) == len(mappings) else find_layout(file, used)), used


def _part(
    path: Path,
    split: str,
    datasets: Mapping[str, h5py.Dataset],
    mappings: Mapping[str, FieldMapping],
    wanted: Collection[str],
) -> RowPart:
    findings: list[Finding] = []
    fields = {}
    for name, dataset in datasets.items():
        if not dataset.shape:
            continue
        fields[name] = SourceField(
            name=name,
            where=str(dataset.name).strip("/"),
            shape=tuple(map(int, dataset.shape[1:])),
            dtype=TEXTS if h5py.check_string_dtype(dataset.dtype) else dataset.dtype.newbyteorder("=").name,
            rows=int(dataset.shape[0]),
        )
        if name in wanted:
            fields[name] = _said(fields[name], dataset, mappings.get(name, FieldMapping()), findings)
    refuse(path, findings)
    return RowPart(split, fields)


def _said(field: SourceField, dataset: h5py.Dataset, mapping: FieldMapping, findings: list[Finding]) -> SourceField:
    """Return a field with what the file says about it, and the recipe where the file is silent.

    Where they differ, nobody but the user can tell whether the file is another one or its attributes are wrong.
    """
    said = declared(field.name, {"": dataset}, FieldMapping(), findings)
    for key in ("classes", "names"):
        ours, theirs = getattr(mapping, key), getattr(said, key)
        if ours and theirs and ours != theirs:
            findings.append(
                error(
                    field.where,
                    f"its attribute {key!r} says {', '.join(theirs)}, but data.fields.{field.name} of the run's recipe "
                    f"says {', '.join(ours)}; make them equal, or remove the attribute",
                )
            )
    return replace(
        field,
        kind=mapping.kind or said.kind,
        classes=said.classes or mapping.classes or (),
        names=said.names or mapping.names or (),
    )


def _ways_out(layout: Layout, parts: Sequence[RowPart], wanted: Collection[str]) -> list[Finding]:
    """Return why fields that are missing were not read, where the layout says so."""
    missing = {name for name in wanted if any(name not in part.fields for part in parts)}
    about = [finding for finding in layout.findings if finding.where.split("/")[-1] in {"", *missing}]
    return about if missing else []


def _membership(path: Path, layout: Layout) -> tuple[tuple[str, ...], np.ndarray | None]:
    """Return the names of the splits and, where they are lists of rows, the split of every row."""
    if layout.form != "indices":
        return tuple(split for split in layout.parts if split), None
    splits = (*layout.indices, "")
    total = max((len(dataset) for dataset in layout.parts[""].values() if dataset.shape), default=0)
    membership = np.full(total, len(splits) - 1, dtype=np.int8)
    findings: list[Finding] = []
    for place, (split, dataset) in enumerate(layout.indices.items()):
        where = f"splits/{split}"
        if dataset.dtype.kind not in "ui" or dataset.ndim != 1:
            findings.append(error(where, f"row numbers are one integer each, N; got {dataset.dtype}, {dataset.shape}"))
            continue
        rows = dataset[...]
        if len(rows) and (rows.min() < 0 or rows.max() >= total):
            outside = rows.min() if rows.min() < 0 else rows.max()
            findings.append(error(where, f"row {outside} is outside 0 to {total - 1}; correct the row numbers"))
            continue
        rows = rows.astype(np.int64)
        taken = rows[membership[rows] != len(splits) - 1]
        if len(taken):
            findings.append(error(where, f"row {taken[0]} is in another split too; a row belongs to one split"))
        membership[rows] = place
    refuse(path, findings)
    return splits, membership


def _inside(file: h5py.File, where: str) -> h5py.Dataset:
    """Return a dataset again; the file may have been replaced since it was looked at."""
    dataset = find(file, where)
    if not isinstance(dataset, h5py.Dataset) or way_out(file, dataset):
        raise DataError(f"{file.filename}: {where} changed while it was read; leave the file alone and try again")
    return dataset


def _values(dataset: h5py.Dataset, start: int, stop: int) -> np.ndarray:
    if h5py.check_string_dtype(dataset.dtype):
        try:
            return np.asarray(dataset.asstr("utf-8")[start:stop], dtype=str)
        except UnicodeDecodeError as cause:
            raise DataError(f"{str(dataset.name).strip('/')} holds texts that are not UTF-8: {cause}") from None
    values: np.ndarray = dataset[start:stop]
    return values
