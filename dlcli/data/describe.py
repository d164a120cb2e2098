"""What is in a dataset, for `dlcli data show` and `dlcli init`."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dlcli.contracts.field import Kind, Role
from dlcli.contracts.task import Task
from dlcli.data.column_figures import ColumnFigures
from dlcli.data.field_pass import FieldPass, StepFigures, TokenFigures, read_field
from dlcli.data.hdf5 import dataset_names, open_hdf5
from dlcli.data.inspection import Inspection, inspect
from dlcli.data.memory import available_memory, needed_memory
from dlcli.data.pictures import Picture, pictures_of
from dlcli.data.slow_layouts import SlowLayouts, slow_layouts
from dlcli.data.splits import file_splits
from dlcli.data.storage import Storage, storage_of
from dlcli.data.stored import StoredField
from dlcli.data.target import Asked, TargetError, infer_task


@dataclass(frozen=True)
class FieldDescription:
    """One field of a file.

    Args:
        name: Its name.
        role: What it is for; None where it is not used.
        kind: How its rows are laid out; None where that is not plain.
        shape: Shape of a row on disk.
        dtype: Type of the values on disk.
        classes: Names of its classes or labels.
        names: Names of its columns.
        of: The field that it belongs to.
        rows: Rows of all parts together.
        read_rows: How many of them were looked at for the figures.
        storage: How it is stored.
        figures: Figures of all values together; None where these are no numbers.
        columns: Figures of every column, where rows have columns.
        steps: How long rows are, where it is a length or a mask.
        tokens: Which tokens there are, where it holds tokens.
        pictures: A few of its rows, where these are images.
    """

    name: str
    role: Role | None
    kind: Kind | None
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    of: str | None
    rows: int
    read_rows: int
    storage: Storage
    figures: ColumnFigures | None = None
    columns: tuple[ColumnFigures, ...] = ()
    steps: StepFigures | None = None
    tokens: TokenFigures | None = None
    pictures: tuple[Picture, ...] = ()

    @property
    def minimum(self) -> float | None:
        """Smallest finite value; None where there is none."""
        return self.figures.minimum if self.figures else None

    @property
    def mean(self) -> float | None:
        """Mean of the finite values."""
        return self.figures.mean if self.figures else None

    @property
    def maximum(self) -> float | None:
        """Largest finite value."""
        return self.figures.maximum if self.figures else None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table; of pictures only where they lie."""
        table = dataclasses.asdict(dataclasses.replace(self, pictures=()))
        table["storage"]["ratio"] = self.storage.ratio
        return {**table, "pictures": [picture.as_json() for picture in self.pictures]}


@dataclass(frozen=True)
class FileDescription:
    """A dataset file.

    Args:
        path: The file.
        bytes: Its size.
        memory_bytes: What its fields take once they are read.
        available_bytes: Memory that could be used when it was looked at; None where nobody tells.
        layout: `groups`, `flat` or `indices`, as in `Layout`.
        splits: Rows of every split of the file; without splits, of `all`.
        task: The task, where it is plain from the target.
        per_position: Whether there is a target for each of T positions.
        fields: Every dataset, those with a role first.
        class_counts: For every split the rows of each class, or for labels those that have it; empty for regression.
            Of a target larger than 64 MiB, among the rows that were looked at.
        attributes: The file's own attributes, such as its source.
        slow: What makes it slow to train on, and what mends it.
        notes: What is odd: problems that training would refuse, datasets that are not used.
    """

    path: str
    bytes: int
    memory_bytes: int
    available_bytes: int | None
    layout: str
    splits: Mapping[str, int]
    task: Task | None
    per_position: bool
    fields: tuple[FieldDescription, ...]
    class_counts: Mapping[str, Mapping[str, int]]
    attributes: Mapping[str, str]
    slow: SlowLayouts
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        table = dataclasses.asdict(dataclasses.replace(self, fields=()))
        return {**table, "fields": [field.as_json() for field in self.fields]}


def describe(path: Path, *, full: bool = False, pictures: int = 0) -> FileDescription:
    """Describe a dataset file, also one that training would refuse; values are read in blocks, never all at once.

    Args:
        path: The file.
        full: Whether all rows are read; else of a field larger than 64 MiB as much, from everywhere in the file.
        pictures: Most images that are shown of a field.

    Returns:
        The description.

    Raises:
        DataError: It cannot be opened as HDF5, or its values cannot be read.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, {})
        notes = [str(finding) for finding in inspection.findings]
        notes += [f"{field.where}: it has no role and is not used" for field in inspection.unused]
        target, asked = inspection.target, None
        if target is not None:
            try:
                asked = infer_task(target, inspection.fields, None)
            except TargetError as cause:
                notes.append(f"{target.where}: {cause}")
        sizes, membership, findings = _splits(inspection)
        notes += findings
        everything = (*inspection.fields, *inspection.unused)
        found = {field.name: _read(field, inspection, asked, membership, full=full) for field in everything}
        datasets = [file[name] for name in dataset_names(file)]
        return FileDescription(
            path=str(path),
            bytes=path.stat().st_size,
            memory_bytes=needed_memory(inspection.fields),
            available_bytes=available_memory(),
            layout=inspection.layout.form,
            splits=sizes,
            task=asked.task if asked else None,
            per_position=asked.per_position if asked else False,
            fields=tuple(_described(field, found[field.name], target, pictures) for field in everything),
            class_counts=found[target.name].class_counts if target else {},
            attributes={name: str(value) for name, value in file.attrs.items()},
            slow=slow_layouts(path, _all_fields(inspection), datasets),
            notes=tuple(notes),
        )


def _splits(inspection: Inspection) -> "tuple[dict[str, int], dict[str, np.ndarray[Any, Any]] | None, list[str]]":
    """Return rows of each split; whether each row is in it, where the file lists them; and what is wrong with these."""
    sizes = inspection.sizes
    if inspection.layout.form != "indices":
        return {part or "all": rows for part, rows in sizes.items()}, None, []
    splits, findings = file_splits(inspection)
    membership = {}
    for split, rows in splits.items():
        indices = rows.numpy()
        inside = np.zeros(sum(sizes.values()), bool)
        inside[indices[(indices >= 0) & (indices < len(inside))]] = True  # `check` tells of the others
        membership[split] = inside
    return {split: len(rows) for split, rows in splits.items()}, membership, [str(finding) for finding in findings]


def _read(
    field: StoredField,
    inspection: Inspection,
    asked: Asked | None,
    membership: "Mapping[str, np.ndarray[Any, Any]] | None",
    *,
    full: bool,
) -> FieldPass:
    tied = [other for other in inspection.by_role("length") if other.of == field.name]
    owners = [other for other in inspection.fields if field.role in ("length", "mask") and other.name == field.of]
    return read_field(
        field,
        owners[0] if owners else None,
        tied[0] if tied else None,
        asked if field is inspection.target else None,
        membership,
        full=full,
    )


def _described(field: StoredField, found: FieldPass, target: StoredField | None, pictures: int) -> FieldDescription:
    low = found.figures.minimum if found.figures else None
    high = found.figures.maximum if found.figures else None
    shown = field.kind == "image" and low is not None and high is not None
    return FieldDescription(
        name=field.name,
        role=field.role,
        kind=field.kind,
        shape=field.row_shape,
        dtype=str(field.first.dtype),
        classes=field.classes,
        names=field.names,
        of=field.of,
        rows=sum(len(dataset) for dataset in field.datasets.values() if dataset.shape),
        read_rows=found.rows,
        storage=storage_of(field),
        figures=found.figures,
        columns=found.columns,
        steps=found.steps,
        tokens=found.tokens,
        pictures=pictures_of(field, target, low or 0.0, high or 0.0, pictures) if shown else (),
    )


def _all_fields(inspection: Inspection) -> Sequence[StoredField]:
    """Return all fields, those that cannot be read as numbers included."""
    known = {field.name: field for field in (*inspection.fields, *inspection.unused)}
    by_name: dict[str, dict[str, h5py.Dataset]] = {}
    for part, datasets in inspection.layout.parts.items():
        for name, dataset in datasets.items():
            by_name.setdefault(name, {})[part] = dataset
    return [known.get(name, StoredField(name, datasets)) for name, datasets in by_name.items()]
