"""The new HDF5 file: a group a split, or rows together with their numbers; chunks of about a megabyte."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dlcli.contracts.importer import TEXTS, SourceField
from dlcli.experiment.importing.division import Division
from dlcli.experiment.prediction.patient_file import PatientFile

CHUNK_BYTES = 2**20
WORTH = 0.7
"""Floats are compressed where that makes a sampled chunk smaller than this share of it."""
_LEVEL = 4
_MANY_CLASSES = 4000
"""A dataset's header of the usual format holds no more texts."""


@dataclass
class _Column:
    """One dataset that is being written, whole chunks at a time."""

    dataset: h5py.Dataset
    written: int = 0
    waiting: list[np.ndarray] = field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        self.waiting.append(values)
        chunk = self.dataset.chunks[0]
        if (count := sum(map(len, self.waiting))) >= chunk:
            self.flush(count // chunk * chunk)

    def flush(self, count: int) -> None:
        if not count:
            return
        values = np.concatenate(self.waiting)
        self.dataset[self.written : self.written + count] = values[:count]
        self.written += count
        self.waiting = [values[count:].copy()]


class DatasetWriter:
    """Takes rows in the order of the source.

    Args:
        file: The new file.
        storage: What it is written to, which keeps failures.
        fields: The settled fields.
        division: Where rows go.
        together: Whether rows stay together, and splits are lists of row numbers.
    """

    def __init__(
        self,
        file: h5py.File,
        storage: PatientFile,
        fields: Sequence[SourceField],
        division: Division,
        together: bool,
    ) -> None:
        self._file, self._storage, self._division = file, storage, division
        self._fields = {field.name: field for field in fields}
        self._columns: dict[tuple[str, str], _Column] = {}
        self._parts = () if together else division.splits
        self._done = 0
        if together:
            for place, name in enumerate(division.splits):
                file.create_dataset(f"splits/{name}", data=np.flatnonzero(division.membership == place))

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the next rows.

        Args:
            arrays: Values of every field (R, *shape), as stored.

        Raises:
            OSError: The disk is full.
        """
        count = len(next(iter(arrays.values())))
        places = self._division.membership[self._done : self._done + count]
        self._done += count
        for place, part in enumerate(self._parts) if self._parts else [(None, "")]:
            chosen = None if place is None else places == place
            for name, values in arrays.items():
                rows = values if chosen is None else values[chosen]
                if len(rows):
                    self._column(part, name, rows).add(rows)
        self._storage.check()

    def close(self, shared: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write what is left.

        Args:
            shared: What belongs to no row, by path.
            facts: Attributes of the file.
        """
        for column in self._columns.values():
            column.flush(sum(map(len, column.waiting)))
        for path, values in shared.items():
            self._file.create_dataset(path, data=values)
        self._file.attrs.update(facts)

    def _column(self, part: str, name: str, values: np.ndarray) -> _Column:
        key = part, name
        if key not in self._columns:
            group = self._file.require_group(part) if part in self._file else self._group(part)
            count = self._division.counts[part] if part else len(self._division.membership)
            self._columns[key] = _Column(_dataset(group, self._fields[name], count, values))
        return self._columns[key]

    def _group(self, part: str) -> h5py.Group:
        return self._file.create_group(part, track_order=True) if part else self._file["/"]


@contextmanager
def dataset_writer(
    path: Path, fields: Sequence[SourceField], division: Division, *, together: bool
) -> Iterator[DatasetWriter]:
    """Make a new file.

    Args:
        path: Where.
        fields: The settled fields.
        division: Where rows go.
        together: Whether rows stay together, and splits are lists of row numbers.

    Yields:
        DatasetWriter: Takes the rows.

    Raises:
        OSError: It cannot be written.
    """
    libver = "latest" if any(len(field.classes) > _MANY_CLASSES for field in fields) else None
    with closing(PatientFile(path)) as storage:
        with h5py.File(storage, "w", libver=libver, track_order=True) as file:
            yield DatasetWriter(file, storage, fields, division, together)
        storage.check()


def _dataset(group: h5py.Group, field: SourceField, count: int, sample: np.ndarray) -> h5py.Dataset:
    row_bytes = max(1, math.prod(sample.shape[1:]) * sample.dtype.itemsize)
    rows = max(1, min(count, CHUNK_BYTES // row_bytes))
    packed = sample.dtype.kind != "f" or _worth(sample[:rows])
    options: dict[str, Any] = {"compression": "gzip", "compression_opts": _LEVEL, "shuffle": True} if packed else {}
    dataset = group.create_dataset(
        field.name, (count, *sample.shape[1:]), sample.dtype, chunks=(rows, *sample.shape[1:]), **options
    )
    said = {"role": field.role, "kind": field.kind, "of": field.of}
    dataset.attrs.update({key: value for key, value in said.items() if value is not None})
    listed = {"classes": () if field.role == "group" else field.classes, "names": field.names}
    for key, values in listed.items():
        if values and not (key == "names" and field.dtype == TEXTS):
            dataset.attrs.create(key, list(values), dtype=h5py.string_dtype())
    return dataset


def _worth(values: np.ndarray) -> bool:
    """Return whether compression makes floats much smaller; bytes are put in order of their place, as HDF5 does."""
    raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8).reshape(-1, values.dtype.itemsize)
    return len(zlib.compress(raw.T.tobytes(), _LEVEL)) < WORTH * raw.size
