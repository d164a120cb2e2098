"""Which rows of a dataset are read at once, and which of them stand for all where there are too many."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

BLOCK_BYTES = 2**20
"""Of a block, about, where chunks allow it."""
TALL_BYTES = 32 * 2**20
"""Of a block at most, where a chunk holds many rows: smaller ones would read each chunk again and again."""


def row_bytes(dataset: "h5py.Dataset") -> int:
    """Return how many bytes one row takes in memory, 1 at least."""
    return max(1, int(dataset.dtype.itemsize) * int(np.prod(dataset.shape[1:], dtype=np.int64)))


def row_blocks(dataset: "h5py.Dataset", *, tall: int = TALL_BYTES) -> list[tuple[int, int]]:
    """Return ranges of rows that together are all rows, each of whole chunks where these are not too large.

    Args:
        dataset: A dataset of one dimension at least.
        tall: Most bytes of a block whose chunks hold many rows.

    Returns:
        First row, and the one after the last, of every block.
    """
    size = row_bytes(dataset)
    step = max(1, BLOCK_BYTES // size)
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = step // chunk * chunk if chunk <= step else max(1, min(chunk, tall // size))
    return [(start, min(start + step, len(dataset))) for start in range(0, len(dataset), step)]


def spread(blocks: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return blocks from everywhere, in order, so that a file sorted by class shows all classes.

    Args:
        blocks: All blocks of a dataset.
        most: About so many rows are wanted; one block at least is returned.

    Returns:
        Some of the blocks, evenly spread; all, where they hold no more rows than that.
    """
    rows = sum(stop - start for start, stop in blocks)
    if rows <= most:
        return blocks
    count = max(1, len(blocks) * most // rows)
    return [blocks[(2 * place + 1) * len(blocks) // (2 * count)] for place in range(count)]
