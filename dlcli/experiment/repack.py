"""`dlcli data repack`: a dataset file again, in chunks of whole rows."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dlcli import atomic
from dlcli.data.contents import Array, Stored, StoredDataset, StoredGroup, StoredLink, contents
from dlcli.data.dataset_copy import CODECS, Codec, DatasetCopy, share_classes
from dlcli.data.read_speed import read_speed
from dlcli.data.safe_types import wanted_types
from dlcli.errors import DataError, UsageError
from dlcli.experiment.output_file import check_dataset_output
from dlcli.experiment.prediction.patient_file import PatientFile

COMPARED_BYTES = 4 * 10**6
"""Of rows that are compared at once."""
LARGE_ATTRIBUTE, TEXT_BYTES = 60_000, 16
"""The oldest format of HDF5 holds attributes of 64 kB at most, in which each text takes so many bytes."""


@dataclass(frozen=True)
class Repacked:
    """What was written.

    Args:
        source: The file that was read.
        output: The file that was written.
        bytes_before: Size of the source.
        bytes_after: Size of the output.
        datasets: How many datasets there are.
        largest: Path of the largest dataset, whose speed was measured; empty where there is none with rows.
        codecs: How each dataset with rows is compressed.
        rounded: Types of the datasets whose numbers became rounder ones, as `float16`, by path.
        speeds: Bytes a second, before and after, by the order in which blocks of rows are read: `in order`, `shuffled`.
    """

    source: str
    output: str
    bytes_before: int
    bytes_after: int
    datasets: int
    largest: str
    codecs: Mapping[str, Codec]
    rounded: Mapping[str, str]
    speeds: Mapping[str, tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return dataclasses.asdict(self)


def repack(
    source: Path,
    output: Path,
    *,
    codec: str | None = None,
    chunk_mb: float = 1.0,
    dtypes: Sequence[str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Repacked:
    """Write all of a file again in chunks of whole rows, and check that every value is the same.

    Args:
        source: The file; it is only read.
        output: The new file; it appears whole or not at all.
        codec: `gzip`, `lzf` or `none` for all datasets; None: gzip where the source is compressed and that pays.
        chunk_mb: About how many MB of values a chunk has; one row at least.
        dtypes: Other types, such as `x=uint8`, where these hold all values; `y=classes` turns texts into numbers.
        overwrite: Whether a dataset that is there already may be replaced.
        progress: Is told how many rows are done, of how many.

    Returns:
        Sizes and speeds before and after.

    Raises:
        UsageError: The output is the source, in no folder or no dataset's name, or a codec, size or type is none.
        DataError: The source cannot be read or leads out of itself, a value does not fit its new type, or the copy
            differs.
        StorageError: The output cannot be written.
    """
    if codec is not None and codec not in CODECS:
        raise UsageError(f"--codec {codec} is unknown; allowed are {', '.join(CODECS)}")
    if not 0.001 <= chunk_mb <= 1000:
        raise UsageError(f"--chunk-mb is a number from 0.001 to 1000; got {chunk_mb:g}")
    check_dataset_output(output, source, overwrite=overwrite)
    wanted = wanted_types(dtypes)
    stored = contents(source)
    datasets = [item for item in stored if isinstance(item, StoredDataset)]
    _refuse_unknown(wanted, datasets)
    copies = [
        DatasetCopy(source, item, wanted.get(item.path) or wanted.get(item.name), codec, chunk_mb) for item in datasets
    ]
    share_classes(copies)
    tell = _Progress(progress, 2 * sum(item.rows for item in datasets))
    atomic.write_file(output, lambda temporary: _fill(temporary, stored, copies, tell))
    largest = max((item for item in datasets if item.rows), key=_size, default=None)
    speeds = {}
    if largest is not None:
        for order in ("in order", "shuffled"):
            before, after = (read_speed(file, largest.path, shuffled=order == "shuffled") for file in (source, output))
            speeds[order] = (before, after)
    return Repacked(
        source=str(source),
        output=str(output),
        bytes_before=source.stat().st_size,
        bytes_after=output.stat().st_size,
        datasets=len(datasets),
        largest=largest.path if largest else "",
        rounded={copy.dataset.path: str(copy.dtype) for copy in copies if copy.rounds},
        codecs={copy.dataset.path: copy.codec for copy in copies if copy.dataset.rows},
        speeds=speeds,
    )


class _Progress:
    def __init__(self, tell: Callable[[int, int | None], None] | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def add(self, rows: int) -> None:
        self._done += rows
        if self._tell is not None:
            self._tell(self._done, self._total)


def _size(dataset: StoredDataset) -> int:
    return int(np.prod(dataset.shape or (0,), dtype=np.int64)) * dataset.dtype.itemsize


def _refuse_unknown(wanted: Mapping[str, str], datasets: Sequence[StoredDataset]) -> None:
    for name in wanted:
        if not any(name in (item.path, item.name) and item.shape for item in datasets):
            there = ", ".join(item.path for item in datasets if item.shape) or "none"
            raise UsageError(f"--dtype {name}=…: there is no such dataset of rows; there are: {there}")


def _fill(path: Path, stored: Sequence[Stored], copies: Sequence[DatasetCopy], progress: _Progress) -> None:
    by_path = {copy.dataset.path: copy for copy in copies}
    with closing(PatientFile(path)) as storage:
        root = stored[0]
        ordered = isinstance(root, StoredGroup) and root.ordered
        with h5py.File(storage, "w", track_order=ordered, libver=_format(stored, copies)) as file:
            for item in stored:
                if isinstance(item, StoredDataset):
                    _write(by_path[item.path], file, storage, progress)
                elif isinstance(item, StoredGroup):
                    group = file.create_group(item.path, track_order=item.ordered) if item.path else file
                    _copy_attributes(item, group)
                else:
                    file[item.path] = h5py.SoftLink(item.target) if item.soft else file[item.target]
                storage.check()
        storage.check()
    with h5py.File(path, "r") as file:
        for copy in copies:
            for start, block in copy.blocks():
                _compare(file[copy.dataset.path], start, block)
                progress.add(len(block))


def _format(stored: Sequence[Stored], copies: Sequence[DatasetCopy]) -> str | None:
    """Return which versions of HDF5 may read the copy: only the latest where an attribute does not fit the oldest."""
    sizes = [attribute.bytes for item in stored if not isinstance(item, StoredLink) for attribute in item.attributes]
    sizes += [TEXT_BYTES * len(copy.classes) for copy in copies]
    return "latest" if max(sizes, default=0) > LARGE_ATTRIBUTE else None


def _write(copy: DatasetCopy, file: h5py.File, storage: PatientFile, progress: _Progress) -> None:
    made = copy.create(file)
    _copy_attributes(copy.dataset, made)
    if copy.to_classes:
        made.attrs["classes"] = copy.classes
    for start, block in copy.blocks():
        _put(made, start, block)
        storage.check()
        progress.add(len(block))


def _compare(made: h5py.Dataset, start: int, block: Array) -> None:
    """Compare rows with their copy, some at a time, so that a large block is not in memory several times."""
    step = max(1, COMPARED_BYTES * len(block) // max(1, block.nbytes))
    for first in range(0, len(block), step):
        part = block[first : first + step]
        if not same_values(made[start + first : start + first + len(part)], part):
            raise DataError(f"{made.name}: rows from {start + first} on differ in the copy, which was not kept")


def _copy_attributes(item: StoredGroup | StoredDataset, made: h5py.Group | h5py.Dataset) -> None:
    for attribute in item.attributes:
        if isinstance(attribute.value, h5py.Empty):
            made.attrs[attribute.name] = attribute.value
        else:
            made.attrs.create(attribute.name, attribute.value, dtype=attribute.dtype)


def _put(made: h5py.Dataset, start: int, block: Array) -> None:
    """Write rows; of lists of numbers one by one, since h5py takes several of one length for a matrix."""
    if h5py.check_vlen_dtype(made.dtype) in (None, str, bytes):
        made[start : start + len(block)] = block
        return
    for place in np.ndindex(block.shape):
        made[(start + place[0], *place[1:])] = block[place]


def same_values(one: Array, other: Array) -> bool:
    """Return whether two arrays are the same to the bit; NaN is itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "O":
        pairs = zip(one.reshape(-1).tolist(), other.reshape(-1).tolist(), strict=True)
        return all(np.array_equal(first, second) for first, second in pairs)
    return one.tobytes() == other.tobytes()
