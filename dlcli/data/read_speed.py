"""How fast rows of a dataset are read."""

import time
from pathlib import Path

import h5py
import numpy as np

from dlcli.contracts.randomness import derive
from dlcli.data.hdf5 import find, open_hdf5
from dlcli.data.row_blocks import row_bytes

READ_BYTES = 10**6
"""Of rows that are read at once."""
SECONDS = 1.5
"""Least time after which no more is read."""


def read_speed(path: Path, where: str, *, shuffled: bool) -> float:
    """Return how fast blocks of rows, about 1 MB each, are read.

    What was just written or read lies in the system's memory, so this is the time that chunks and filters take, not
    that of the disk.

    Args:
        path: The file.
        where: A dataset in it, of one row at least.
        shuffled: Whether the blocks come in shuffled order.

    Returns:
        Bytes of values a second.

    Raises:
        DataError: The file cannot be read.
    """
    with open_hdf5(path) as file:
        dataset = find(file, where)
        assert isinstance(dataset, h5py.Dataset)
        step = max(1, READ_BYTES // row_bytes(dataset))
        if dataset.chunks and dataset.chunks[0] <= 2 * step:
            step = -(-step // dataset.chunks[0]) * dataset.chunks[0]
        starts = np.arange(0, len(dataset), step)
        if shuffled:
            np.random.default_rng(derive(0, "order of reading")).shuffle(starts)
        read, begin = 0, time.perf_counter()
        for start in starts.tolist():
            read += dataset[start : start + step].nbytes
            if time.perf_counter() - begin > SECONDS:
                break
        return read / max(time.perf_counter() - begin, 1e-9)
