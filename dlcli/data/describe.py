"""What is in a dataset, for `dlcli data show` and `dlcli init`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcli.contracts.field import Kind, Role
from dlcli.contracts.task import Task
from dlcli.data.hdf5 import open_file
from dlcli.data.inspection import Inspection, inspect
from dlcli.data.load import BLOCK_BYTES
from dlcli.data.splits import file_splits
from dlcli.data.stored import StoredField
from dlcli.data.target import Asked, TargetError, infer_task

if TYPE_CHECKING:
    import h5py


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
        chunks: Shape of a chunk on disk; None where it is contiguous.
        compression: Name of the filter, such as `gzip`; None without.
        minimum: Smallest finite value; None where there is none.
        maximum: Largest finite value.
        mean: Mean of the finite values.
    """

    name: str
    role: Role | None
    kind: Kind | None
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    of: str | None
    chunks: tuple[int, ...] | None
    compression: str | None
    minimum: float | None
    maximum: float | None
    mean: float | None


@dataclass(frozen=True)
class FileDescription:
    """A dataset file.

    Args:
        path: The file.
        bytes: Its size.
        layout: `groups`, `flat` or `indices`, as in `Layout`.
        splits: Rows of every split of the file; without splits, of `all`.
        task: The task, where it is plain from the target.
        per_position: Whether there is a target for each of T positions.
        fields: Every dataset, those with a role first.
        class_counts: For every split the rows of each class, or for labels those that have it; empty for regression.
        attributes: The file's own attributes, such as its source.
        notes: What is odd: problems that training would refuse, datasets that are not used.
    """

    path: str
    bytes: int
    layout: str
    splits: Mapping[str, int]
    task: Task | None
    per_position: bool
    fields: tuple[FieldDescription, ...]
    class_counts: Mapping[str, Mapping[str, int]]
    attributes: Mapping[str, str]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return asdict(self)


def describe(path: Path) -> FileDescription:
    """Describe a dataset file, also one that training would refuse; values are read in blocks, never all at once.

    Args:
        path: The file.

    Returns:
        The description.

    Raises:
        DataError: It cannot be opened as HDF5, or its values cannot be read.
    """
    with open_file(path) as file:
        inspection = inspect(file, {})
        notes = [str(finding) for finding in inspection.findings]
        notes += [f"{field.where}: it has no role and is not used" for field in inspection.unused]
        target, asked = inspection.target, None
        if target is not None:
            try:
                asked = infer_task(target, inspection.fields, None)
            except TargetError as cause:
                notes.append(f"{target.where}: {cause}")
        splits, findings = file_splits(inspection)
        notes += [str(finding) for finding in findings]
        if inspection.layout.form == "flat":
            splits = {"all": splits["train"]} if splits else {}
        return FileDescription(
            path=str(path),
            bytes=path.stat().st_size,
            layout=inspection.layout.form,
            splits={split: len(rows) for split, rows in splits.items()},
            task=asked.task if asked else None,
            per_position=asked.per_position if asked else False,
            fields=tuple(_field(field, inspection) for field in (*inspection.fields, *inspection.unused)),
            class_counts=_class_counts(target, asked, splits) if target and asked else {},
            attributes={name: str(value) for name, value in file.attrs.items()},
            notes=tuple(notes),
        )


def _field(field: StoredField, inspection: Inspection) -> FieldDescription:
    minimum, maximum, total, count = math.inf, -math.inf, 0.0, 0
    if all(dataset.dtype.kind in "buif" for dataset in field.datasets.values()):
        for dataset in field.datasets.values():
            for block in _blocks(dataset):
                values = block[np.isfinite(block)]
                if values.size:
                    minimum, maximum = min(minimum, float(values.min())), max(maximum, float(values.max()))
                    total, count = total + float(values.sum(dtype=np.float64)), count + values.size
    first = field.first
    return FieldDescription(
        name=field.name,
        role=field.role,
        kind=field.kind,
        shape=field.row_shape,
        dtype=str(first.dtype),
        classes=field.classes,
        names=field.names,
        of=field.of,
        chunks=first.chunks,
        compression=first.compression,
        minimum=minimum if count else None,
        maximum=maximum if count else None,
        mean=total / count if count else None,
    )


def _blocks(dataset: "h5py.Dataset") -> Iterator[np.ndarray[Any, Any]]:
    """Yield the values of a dataset of any shape, some rows at a time."""
    if not dataset.shape:
        return
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, len(dataset), step):
        yield dataset[start : start + step]


def _class_counts(target: StoredField, asked: Asked, splits: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Count the rows of each class; values outside the classes are left out, `check` names them."""
    if not asked.classes:
        return {}
    labels = np.concatenate([dataset[...] for dataset in target.datasets.values()])
    found = {}
    for split, rows in splits.items():
        indices = rows.numpy()
        part = labels[indices[(indices >= 0) & (indices < len(labels))]]  # `check` tells of the others
        if asked.task is Task.MULTILABEL:
            counts = (part == 1).reshape(-1, len(asked.classes)).sum(0)
        else:
            flat = part.reshape(-1).astype(np.int64)
            inside = flat[(flat >= 0) & (flat < len(asked.classes))]
            counts = np.bincount(inside, minlength=len(asked.classes))
        found[split] = dict(zip(asked.classes, counts.tolist(), strict=True))
    return found
