"""Reading the common layouts of HDF5 straight from the file: no lock is held, and small reads cost little.

h5py holds Python's lock and one of its own while it reads and decompresses, so that a network would wait for every
chunk that is read ahead, and a read of a few rows costs a tenth of a millisecond. Where a dataset's bytes are is asked
of HDF5 once.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_FILTERS = {(): False, (h5py.h5z.FILTER_DEFLATE,): False, (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE): True}
"""Filters of chunks that are undone here, and whether bytes are shuffled."""


class DirectReads:
    """Where the rows of one dataset lie in its file.

    Args:
        file: The file.
        chunk: Rows of a chunk; of a dataset without chunks all of them.
        offsets: Where each chunk begins, int64.
        sizes: Bytes that each chunk takes in the file, int64.
        row: Bytes of a row in memory.
        item: Bytes of a number.
        compressed: Whether chunks are compressed by deflate.
        shuffled: Whether the bytes of numbers are shuffled before.

    Attributes:
        compressed: Whether a chunk must be read whole; else any rows are read at the same speed.
    """

    def __init__(
        self,
        file: Path,
        chunk: int,
        offsets: "np.ndarray[Any, Any]",
        sizes: "np.ndarray[Any, Any]",
        row: int,
        item: int,
        *,
        compressed: bool,
        shuffled: bool,
    ) -> None:
        self._file, self._chunk, self._row, self._item = file, chunk, row, item
        self._offsets, self._sizes = offsets.tolist(), sizes.tolist()
        self.compressed, self._shuffled = compressed, shuffled
        self._descriptors: dict[int, int] = {}

    def __del__(self) -> None:
        descriptor = self._descriptors.pop(os.getpid(), None)
        if descriptor is not None:
            os.close(descriptor)

    def read(self, first: int, last: int, target: memoryview) -> None:
        """Read rows.

        Args:
            first: The first.
            last: The one after the last.
            target: Where to put their bytes; as large as they are.

        Raises:
            OSError: The file ends too early, or a chunk is damaged.
        """
        place = first
        while place < last:
            number, inside = divmod(place, self._chunk)
            stop = min(last, (number + 1) * self._chunk)
            part = target[(place - first) * self._row : (stop - first) * self._row]
            if self.compressed:
                begin = inside * self._row
                part[:] = self._inflated(number)[begin : begin + len(part)]
            else:
                self._fill(part, self._offsets[number] + inside * self._row)
            place = stop

    def expect(self, first: int, last: int) -> None:
        """Ask the system to read rows of a dataset that is not compressed in the background."""
        place = first
        while place < last and hasattr(os, "posix_fadvise"):
            number, inside = divmod(place, self._chunk)
            stop = min(last, (number + 1) * self._chunk)
            offset, length = self._offsets[number] + inside * self._row, (stop - place) * self._row
            os.posix_fadvise(self._descriptor(), offset, length, os.POSIX_FADV_WILLNEED)
            place = stop

    def _inflated(self, number: int) -> memoryview:
        packed = bytearray(self._sizes[number])
        self._fill(memoryview(packed), self._offsets[number])
        whole = self._chunk * self._row
        try:
            plain = zlib.decompressobj().decompress(packed, whole)
        except zlib.error as cause:
            raise OSError(f"chunk {number} is damaged: {cause}") from cause
        if len(plain) != whole:
            raise OSError(f"chunk {number} is damaged: it holds {len(plain)} bytes, expected {whole}")
        if not self._shuffled:
            return memoryview(plain)
        shuffled = np.frombuffer(plain, np.uint8).reshape(self._item, -1)
        found = np.empty((shuffled.shape[1], self._item), np.uint8)
        for place, part in enumerate(shuffled):  # three times as quick as the transpose in one go
            found[:, place] = part
        return found.reshape(-1).data

    def _fill(self, part: memoryview, offset: int) -> None:
        descriptor = self._descriptor()
        while (count := os.preadv(descriptor, [part], offset)) < len(part):
            if not count:
                raise OSError("the file ends too early")
            part, offset = part[count:], offset + count

    def _descriptor(self) -> int:
        # By process, as a descriptor that a fork inherited shares nothing that matters, but may be closed there.
        process = os.getpid()
        if process not in self._descriptors:
            self._descriptors[process] = os.open(self._file, os.O_RDONLY)
        return self._descriptors[process]


def direct_reads(file: Path, dataset: h5py.Dataset) -> DirectReads | None:
    """Find out where the rows of a dataset lie.

    Args:
        file: The file.
        dataset: A dataset in it, open.

    Returns:
        How to read it; None where HDF5 must do it: other filters, chunks across columns, numbers of another byte order,
        chunks that were never written, a virtual dataset, or a system that cannot read at a place.
    """
    plist = dataset.id.get_create_plist()
    layout = plist.get_layout()
    if not hasattr(os, "preadv") or not dataset.dtype.isnative or not dataset.shape or 0 in dataset.shape:
        return None
    item = dataset.dtype.itemsize
    row = item * int(np.prod(dataset.shape[1:], dtype=np.int64))
    if layout == h5py.h5d.CONTIGUOUS and not plist.get_external_count():
        offset = dataset.id.get_offset()
        if offset is None:
            return None
        count = dataset.shape[0]
        place, size = np.array([offset]), np.array([count * row])
        return DirectReads(file, count, place, size, row, item, compressed=False, shuffled=False)
    if layout != h5py.h5d.CHUNKED or dataset.chunks[1:] != dataset.shape[1:]:
        return None
    filters = tuple(plist.get_filter(i)[0] for i in range(plist.get_nfilters()))
    if filters not in _FILTERS:
        return None
    found = _places(dataset)
    if found is None:
        return None
    offsets, sizes = found
    shuffled = _FILTERS[filters]
    return DirectReads(file, dataset.chunks[0], offsets, sizes, row, item, compressed=bool(filters), shuffled=shuffled)


def _places(dataset: h5py.Dataset) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None":
    chunk = dataset.chunks[0]
    count = -(-dataset.shape[0] // chunk)
    offsets, sizes = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    whole = True

    def note(info: Any) -> None:
        nonlocal whole
        number = info.chunk_offset[0] // chunk
        if number < count and info.byte_offset is not None:
            offsets[number], sizes[number] = info.byte_offset, info.size
            whole &= info.filter_mask == 0  # else this chunk went in without some of the filters

    dataset.id.chunk_iter(note)
    return (offsets, sizes) if whole and bool((offsets >= 0).all()) else None
