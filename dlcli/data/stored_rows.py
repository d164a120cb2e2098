"""Rows of a field that stay on disk: read as they are asked for, as if they were one tensor."""

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from dlcli.data.direct_reads import DirectReads, direct_reads
from dlcli.data.hdf5 import find
from dlcli.data.stored import StoredField
from dlcli.errors import DataError

BLOCK_BYTES = 8 * 2**20
"""Read at once where rows lie close together."""
CHUNK_BYTES = 2**18
"""Read at once at least, of chunks and where HDF5 must find the rows."""
PIECE_BYTES = 2**17
"""Read at once where rows lie in the file as they are: a pool of such pieces stays in the processor's cache."""
GAP_BYTES = 2**18
"""Bytes that nobody asked for are read along rather than skipped, up to so many."""


@dataclass(frozen=True)
class StoredPart:
    """One dataset of a field.

    Args:
        path: Its path in the file.
        rows: How many rows it has.
        chunk: Rows of a chunk; None where it has no chunks.
    """

    path: str
    rows: int
    chunk: int | None


class StoredRows:
    """All rows of a field, part after part, as a module sees them; stands for a tensor (N, *shape) on the CPU.

    Args:
        file: The HDF5 file.
        parts: Its datasets, in order.
        shape: Shape of one row as a module sees it.
        dtype: Type of the values in memory.
        image: Whether rows are images, whose channels come last on disk.
    """

    def __init__(
        self, file: Path, parts: Sequence[StoredPart], shape: tuple[int, ...], dtype: "np.dtype[Any]", *, image: bool
    ) -> None:
        self.file, self.parts, self.image = file.resolve(), tuple(parts), image
        self._open: dict[int, list[tuple[h5py.Dataset, DirectReads | None]]] = {}
        self._opening = threading.Lock()
        self._starts = [0, *accumulate(part.rows for part in parts)]
        self._row, self._numpy = shape, dtype
        self.dtype = torch.from_numpy(np.empty(0, dtype)).dtype

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def shape(self) -> torch.Size:
        """Shape of the whole (N, *shape of a row)."""
        return torch.Size((len(self), *self._row))

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take in memory."""
        return len(self) * self.row_bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return int(np.prod(self._row, dtype=np.int64)) * self._numpy.itemsize

    def is_floating_point(self) -> bool:
        """Return whether values are floats."""
        return self.dtype.is_floating_point

    def chunks(self) -> list[tuple[int, int]]:
        """Return ranges of rows that are read at once: whole chunks, or pieces where these alone can be read."""
        found = []
        for start, part, (_, direct) in zip(self._starts, self.parts, self._opened(), strict=False):
            pieces = direct is not None and not direct.compressed
            least = max(1, (PIECE_BYTES if pieces else CHUNK_BYTES) // max(1, self.row_bytes))
            size = least if pieces or part.chunk is None else part.chunk
            size *= max(1, least // size)
            found += [(start + first, start + min(first + size, part.rows)) for first in range(0, part.rows, size)]
        return found

    def read(self, first: int, last: int) -> "np.ndarray[Any, Any]":
        """Read rows that lie one after another.

        Args:
            first: The first.
            last: The one after the last.

        Returns:
            The rows.

        Raises:
            DataError: The file is not there any more, or is damaged.
        """
        made = np.empty((last - first, *self._row), self._numpy)
        self.read_ranges([(first, last)], made)
        return made

    def read_ranges(self, ranges: Sequence[tuple[int, int]], out: "np.ndarray[Any, Any]") -> None:
        """Read ranges of rows, one after another.

        Args:
            ranges: The first row and the one after the last, of each.
            out: Where to put them, contiguous (R, *shape of a row), of the field's type.

        Raises:
            DataError: The file is not there any more, or is damaged.
        """
        opened, row = self._opened(), self.row_bytes
        plain_parts = [dataset.dtype == self._numpy and not self.image for dataset, _ in opened]
        memory = out.reshape(-1).view(np.uint8).data
        offset = 0
        for number, first, last in self._in_parts(ranges):
            dataset, direct = opened[number]
            stop = offset + last - first
            plain = plain_parts[number]
            try:
                if plain and direct is not None:
                    direct.read(first, last, memory[offset * row : stop * row])
                elif plain:
                    dataset.read_direct(out[offset:stop], np.s_[first:last])
                else:
                    out[offset:stop] = self._as_seen(dataset, direct, first, last)
            except (OSError, RuntimeError) as cause:
                path = self.parts[number].path
                raise DataError(f"{self.file} cannot be read at {path}, rows {first} to {last}: {cause}") from cause
            offset = stop

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Ask the system to read ranges of rows in the background, where it can: they will be wanted soon."""
        opened = self._opened()
        for number, first, last in self._in_parts(ranges):
            direct = opened[number][1]
            if direct is not None:
                direct.expect(first, last)

    def _in_parts(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
        """Yield the part of each range, and its rows there; a range over several parts comes in pieces."""
        for first, last in ranges:
            place = first
            while place < last:
                number = bisect_right(self._starts, place) - 1
                start = self._starts[number]
                stop = min(last, start + self.parts[number].rows)
                yield number, place - start, stop - start
                place = stop

    @property
    def in_pieces(self) -> bool:
        """Whether any few rows can be read at full speed."""
        return all(direct is not None and not direct.compressed for _, direct in self._opened())

    def _as_seen(
        self, dataset: h5py.Dataset, direct: DirectReads | None, first: int, last: int
    ) -> "np.ndarray[Any, Any]":
        if direct is None:
            block: np.ndarray[Any, Any] = dataset[first:last]
        else:
            block = np.empty((last - first, *dataset.shape[1:]), dataset.dtype)
            direct.read(first, last, block.reshape(-1).view(np.uint8).data)
        if not self.image:
            return block
        return block[:, None] if block.ndim == 3 else np.moveaxis(block, -1, 1)

    def _opened(self) -> "list[tuple[h5py.Dataset, DirectReads | None]]":
        """Return the datasets as this process has them open: a handle of another process must not be used."""
        if (found := self._open.get(os.getpid())) is not None:
            return found
        with self._opening:
            if os.getpid() not in self._open:
                self._open[os.getpid()] = [self._open_part(part) for part in self.parts]
            return self._open[os.getpid()]

    def _open_part(self, part: StoredPart) -> "tuple[h5py.Dataset, DirectReads | None]":
        try:
            file = h5py.File(self.file, "r", locking="best-effort")
        except OSError as cause:
            raise DataError(f"cannot read {self.file} any more: {cause}; put the file back and go on") from cause
        found = find(file, part.path)
        if not isinstance(found, h5py.Dataset):
            raise DataError(f"{self.file} has no dataset {part.path} any more; put the file back and go on")
        return found, direct_reads(self.file, found)

    def __getitem__(self, key: "int | slice | Tensor") -> Tensor:
        """Return rows as a tensor indexed by them would be."""
        if isinstance(key, Tensor):
            return self.index_select(0, key)
        if isinstance(key, slice):
            first, last, step = key.indices(len(self))
            if step != 1:
                return self.index_select(0, torch.arange(first, last, step))
            return torch.from_numpy(self.read(first, max(first, last)))
        place = key + len(self) if key < 0 else key
        return torch.from_numpy(self.read(place, place + 1))[0]

    def index_select(self, dimension: int, index: Tensor) -> Tensor:
        """Return rows in the order of an index, read in the order of the file.

        Args:
            dimension: 0.
            index: Rows, int64 (R,); any order, also repeated.

        Returns:
            (R, *shape of a row).
        """
        found = torch.empty((len(index), *self._row), dtype=self.dtype)
        order = torch.argsort(index, stable=True)
        for first, last in self._runs(index[order]):
            wanted = order[first:last]
            rows = index[wanted]
            low = int(rows[0])
            block = torch.from_numpy(self.read(low, int(rows[-1]) + 1))
            found[wanted] = block.index_select(0, rows - low)
        return found

    def _runs(self, ordered: Tensor) -> Iterator[tuple[int, int]]:
        """Yield ranges of an ordered index whose rows are read together."""
        if not len(ordered):
            return
        gap = max(1, GAP_BYTES // max(1, self.row_bytes))
        most = max(1, BLOCK_BYTES // max(1, self.row_bytes))
        breaks = (ordered.diff() > gap).nonzero().flatten().add(1).tolist()
        for first, last in zip([0, *breaks], [*breaks, len(ordered)], strict=True):
            begin = first
            while begin < last:
                limit = int(ordered[begin]) + most
                stop = begin + int(torch.searchsorted(ordered[begin:last], limit))
                yield begin, max(stop, begin + 1)
                begin = max(stop, begin + 1)


def stored_rows(path: Path, field: StoredField) -> StoredRows:
    """Return a field's rows so that they stay on disk.

    Args:
        path: The file.
        field: A field whose shape and type were checked, of the open file.

    Returns:
        Its rows.
    """
    parts = [
        StoredPart(str(dataset.name), len(dataset), dataset.chunks[0] if dataset.chunks else None)
        for dataset in field.datasets.values()
    ]
    image = field.kind == "image"
    shape = field.as_field().shape if image else field.row_shape
    return StoredRows(path, parts, shape, field.dtype, image=image)
