"""One dataset on its way into another file."""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from dlcli.data.contents import Array, StoredDataset, source_blocks
from dlcli.data.safe_types import CLASSES, class_names, class_numbers, converted, smallest_type
from dlcli.errors import DataError

Codec = Literal["gzip", "lzf", "none"]
CODECS: tuple[Codec, ...] = ("gzip", "lzf", "none")
LEVEL = 4
"""Of gzip: higher ones take much longer to write and hardly save more."""
WORTH_PACKING = 1.2
"""Without --codec, what was compressed stays so where a sample becomes smaller by this factor."""
LARGEST_CHUNK = 2**32 - 1
"""Bytes of a chunk that HDF5 allows."""


class DatasetCopy:
    """How one dataset is written into another file: its type, chunks and codec.

    Args:
        source: The file that it is in.
        dataset: The dataset.
        wanted: Another type, or `classes`; None for its own.
        codec: `gzip`, `lzf` or `none`; None: gzip where it is compressed and that pays.
        chunk_mb: About how many MB of values a chunk has; one row at least.

    Raises:
        DataError: It cannot be read, or are no texts to make classes of.
    """

    def __init__(
        self, source: Path, dataset: StoredDataset, wanted: str | None, codec: str | None, chunk_mb: float
    ) -> None:
        self.dataset, self._source, self.to_classes = dataset, source, wanted == CLASSES
        self.classes: list[str] = []
        self._numbers: dict[str, int] = {}
        if self.to_classes:
            self.classes = class_names((block for _, block in source_blocks(source, dataset)), dataset.path)
        self.dtype = np.dtype(wanted) if wanted and not self.to_classes else dataset.dtype
        self._chunk_bytes = chunk_mb * 1e6
        self.codec: Codec = self._codec(codec)

    def name_classes(self, classes: list[str]) -> None:
        """Settle the classes, which are the same in all splits."""
        self.classes, self.dtype = classes, smallest_type(len(classes))
        self._numbers = {name: number for number, name in enumerate(classes)}

    @property
    def rounds(self) -> bool:
        """Whether its numbers may become rounder ones: floats that are to be narrower."""
        own, new = self.dataset.dtype, self.dtype
        return own.kind == new.kind == "f" and new.itemsize < own.itemsize

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Yield blocks of rows as they are to be written."""
        for start, block in source_blocks(self._source, self.dataset):
            if self.to_classes:
                yield start, class_numbers(block, self._numbers, self.dtype, self.dataset.path)
            elif self.dtype != self.dataset.dtype:
                yield start, converted(block, self.dtype, self.dataset.path, start)
            else:
                yield start, block

    def create(self, file: h5py.File) -> h5py.Dataset:
        """Make the dataset, without its rows."""
        item = self.dataset
        if item.shape is None:
            return file.create_dataset(item.path, data=h5py.Empty(item.dtype))
        options: dict[str, Any] = {}
        if item.shape:
            options = {"maxshape": item.maxshape, "chunks": self._chunks(item.shape)}
        if item.shape and self.codec != "none":
            level = LEVEL if self.codec == "gzip" else None
            options |= {"compression": self.codec, "compression_opts": level, "shuffle": self.dtype.itemsize > 1}
        if item.fill is not None and self.dtype == item.dtype:
            options["fillvalue"] = item.fill
        made = file.create_dataset(item.path, item.shape, self.dtype, **options)
        if item.shape == ():
            made[()] = item.single
        return made

    def _chunks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        row = max(1, self.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64)))
        if row > LARGEST_CHUNK:
            raise DataError(f"{self.dataset.path}: a row has {row} bytes, more than the 4 GiB of a chunk")
        return tuple(max(1, size) for size in (min(shape[0], int(self._chunk_bytes // row)), *shape[1:]))

    def _codec(self, asked: str | None) -> Codec:
        if asked in ("lzf", "none"):
            return "lzf" if asked == "lzf" else "none"
        # What has no length of its own lies outside the chunks.
        if not self.dataset.blocks or self.dataset.dtype.kind == "O":
            return "none"
        if asked == "gzip":
            return "gzip"
        if not self.dataset.compressed:
            return "none"
        values = np.ascontiguousarray(self._sample())
        raw = values.reshape(-1).view(np.uint8).reshape(-1, values.dtype.itemsize)
        packed = len(zlib.compress(raw.T.tobytes(), LEVEL))
        return "gzip" if packed and raw.nbytes / packed >= WORTH_PACKING else "none"

    def _sample(self) -> Array:
        """Return some rows from the middle, of 1 MB at most."""
        place = self.dataset.blocks[len(self.dataset.blocks) // 2]
        one = dataclasses.replace(self.dataset, blocks=(place,))
        block = next(iter(source_blocks(self._source, one)))[1]
        return block[: max(1, 10**6 * len(block) // max(1, block.nbytes))]


def share_classes(copies: Sequence[DatasetCopy]) -> None:
    """Give the datasets of one field, one in every split, the classes of all of them.

    Args:
        copies: All datasets.
    """
    for name in {copy.dataset.name for copy in copies if copy.to_classes}:
        same = [copy for copy in copies if copy.to_classes and copy.dataset.name == name]
        classes = sorted({text for copy in same for text in copy.classes})
        for copy in same:
            copy.name_classes(classes)
