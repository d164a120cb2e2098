"""Reading fields into memory: each row once, in blocks of whole chunks, images to channels first."""

import numpy as np
import torch
from torch import Tensor

from dlcli.data.stored import StoredField
from dlcli.errors import DataError

BLOCK_BYTES = 32 * 2**20
"""Read at once, so that nothing is in memory twice."""


def load(field: StoredField) -> Tensor:
    """Read all parts of a field, one after another.

    Args:
        field: A field whose shape and type were checked.

    Returns:
        (N, *shape of a row); kind `image` becomes (N, C, H, W); of the field's `dtype`.

    Raises:
        DataError: A uint64 is too large for the int64 that it becomes.
    """
    image = field.kind == "image"
    shape = field.as_field().shape if image else field.row_shape
    rows = np.empty((field.rows, *shape), dtype=field.dtype)
    position = 0
    for dataset in field.datasets.values():
        row_bytes = max(1, int(np.prod(field.row_shape)) * dataset.dtype.itemsize)
        chunk = dataset.chunks[0] if dataset.chunks else 1
        block_rows = max(1, BLOCK_BYTES // row_bytes // chunk) * chunk
        for start in range(0, len(dataset), block_rows):
            block = dataset[start : start + block_rows]
            if block.dtype.name == "uint64" and block.max() > np.iinfo(np.int64).max:
                raise DataError(
                    f"{dataset.name.strip('/')}: it holds {block.max()}, a uint64 above {np.iinfo(np.int64).max}; "
                    "store int64 or float64"
                )
            if image:
                block = block[:, None] if block.ndim == 3 else np.moveaxis(block, -1, 1)
            rows[position : position + len(block)] = block
            position += len(block)
    return torch.from_numpy(rows)


def pieces(field: StoredField) -> dict[str, slice]:
    """Return which rows of a loaded field come from which dataset, by its path."""
    found, position = {}, 0
    for dataset in field.datasets.values():
        found[str(dataset.name).strip("/")] = slice(position, position + len(dataset))
        position += len(dataset)
    return found
