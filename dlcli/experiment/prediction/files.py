"""Files of predictions: HDF5, CSV and JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import h5py
import numpy as np

from dlcli.contracts.task import Task
from dlcli.errors import DataError, UsageError
from dlcli.experiment.models.interface import SPREAD, Interface
from dlcli.experiment.output_file import HDF5
from dlcli.experiment.prediction.patient_file import PatientFile
from dlcli.experiment.prediction.rows import PredictedRows, Record, column_names, probability_names, records

if TYPE_CHECKING:
    from _csv import Writer

CSV, JSON_LINES = (".csv",), (".jsonl",)
MANY_CLASSES = 2000
"""From here on names may not fit into an attribute of HDF5's oldest format, 64 kB."""


class PredictionFile(Protocol):
    """Takes answers as they come."""

    def write(self, rows: PredictedRows) -> None:
        """Write answers about the next rows."""
        ...


def check_suffix(path: Path) -> None:
    """Refuse a file of a format that predictions are not written in.

    Args:
        path: The file that was asked for.

    Raises:
        UsageError: Its suffix is none of ours.
    """
    allowed = (*HDF5, *CSV, *JSON_LINES)
    if path.suffix.lower() not in allowed:
        raise UsageError(f"cannot tell from {path.name} which format to write; allowed are {', '.join(allowed)}")


@contextmanager
def prediction_file(
    path: Path, kind: str, interface: Interface, splits: Sequence[str], count: int | None, facts: Mapping[str, str]
) -> Iterator[PredictionFile]:
    """Make a file, for as long as a `with` block lasts.

    Args:
        path: Where to write.
        kind: The suffix that says in which format.
        interface: How answers are read.
        splits: Names of the source's splits; empty where it has none.
        count: How many rows there will be; None where only reading tells.
        facts: What HDF5 keeps as attributes of the file.

    Yields:
        PredictionFile: Takes the answers.

    Raises:
        OSError: The file cannot be written.
    """
    if kind in HDF5:
        libver = "latest" if len(interface.classes) >= MANY_CLASSES else None
        with closing(PatientFile(path)) as storage:
            with h5py.File(storage, "w", libver=libver) as file:
                file.attrs.update(facts)
                yield _Hdf5(file, storage, interface, splits, count)
            storage.check()
        return
    with open(path, "w", encoding="utf-8", newline="") as text:
        if kind in CSV:
            yield _Csv(csv.writer(text), interface, splits)
        else:
            yield _JsonLines(text, interface, splits)


class _Hdf5:
    """One dataset each, of all rows; row numbers and splits only where the source has splits."""

    def __init__(
        self, file: h5py.File, storage: PatientFile, interface: Interface, splits: Sequence[str], count: int | None
    ) -> None:
        self._file, self._storage = file, storage
        self._interface, self._splits, self._count = interface, splits, count
        self._written = 0

    def write(self, rows: PredictedRows) -> None:
        arrays = {"probabilities": rows.probabilities, "prediction": rows.prediction, SPREAD: rows.spread}
        if rows.splits is not None:
            arrays |= {"row": rows.rows, "split": rows.splits}
        end = self._written + len(rows)
        for name, values in arrays.items():
            if values is None:
                continue
            dataset = self._dataset(name, values)
            if dataset.shape[1:] != values.shape[1:]:
                raise DataError(
                    f"rows of one split have {values.shape[1]} steps, those before have {dataset.shape[1]}, which one "
                    "dataset cannot hold; predict one split at a time with --split, or write .csv or .jsonl"
                )
            if self._count is None:
                dataset.resize(end, axis=0)
            dataset[self._written : end] = values
            self._storage.check()
        self._written = end

    def _dataset(self, name: str, values: np.ndarray) -> h5py.Dataset:
        if name in self._file:
            return self._file[name]
        grows = (None, *values.shape[1:]) if self._count is None else None
        shape = (self._count or 0, *values.shape[1:])
        dataset = self._file.create_dataset(name, shape, values.dtype, maxshape=grows)
        interface = self._interface
        names: dict[str, Any] = {"names": column_names(interface)}
        if name == "prediction" and interface.task is not Task.REGRESSION:
            names = {"classes": interface.classes}
        if name == "split":
            names = {"classes": self._splits}
        if name != "row":
            dataset.attrs.update({key: list(value) for key, value in names.items()})
        return dataset


class _Csv:
    """A header and a line an answer; of several labels the names are joined by `;`."""

    def __init__(self, writer: "Writer", interface: Interface, splits: Sequence[str]) -> None:
        self._writer, self._interface, self._splits = writer, interface, splits
        writer.writerow(_header(interface, splits))

    def write(self, rows: PredictedRows) -> None:
        found = records(rows.lines(self._interface), self._interface, self._splits)
        self._writer.writerows(_cells(record) for record in found)


class _JsonLines:
    """One JSON object an answer."""

    def __init__(self, text: TextIO, interface: Interface, splits: Sequence[str]) -> None:
        self._text, self._interface, self._splits = text, interface, splits

    def write(self, rows: PredictedRows) -> None:
        found = records(rows.lines(self._interface), self._interface, self._splits)
        self._text.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in found)


def _header(interface: Interface, splits: Sequence[str]) -> list[str]:
    names, task = column_names(interface), interface.task
    header = ["row", *(["split"] if splits else []), *(["position"] if interface.per_position else [])]
    if task is Task.REGRESSION:
        header += [f"prediction_{name}" for name in names]
    else:
        header += ["prediction", *(f"probability_{name}" for name in probability_names(interface))]
    if SPREAD in interface.outputs:
        several = task in (Task.REGRESSION, Task.MULTILABEL)
        header += [f"spread_{name}" for name in names] if several else ["spread"]
    return header


def _cells(record: Record) -> Iterator[object]:
    for value in record.values():
        if isinstance(value, dict):
            yield from value.values()
        else:
            yield ";".join(value) if isinstance(value, list) else value
