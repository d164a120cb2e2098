"""Layouts that make training or reading slow, and the command that mends them."""

import math
import shlex
import statistics
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py

from dlcli.data.row_blocks import row_bytes
from dlcli.data.storage import codecs_of
from dlcli.data.stored import StoredField

SMALLEST_BYTES = 2**20
"""A dataset smaller than this is quick to read however it lies."""
LARGE_CHUNK, SMALL_CHUNK = 16 * 10**6, 16 * 2**10
"""Bytes above which a chunk is too large to be held for a few of its rows, below which opening it costs most."""
LEAST_SAVED = 1.1
"""Compressed floats that are not smaller by this factor are noise."""
WORTH_PACKING = 3.0
"""A large dataset that gzip makes smaller by this factor is worth compressing."""
MANY_DATASETS, TINY_BYTES = 200, 64 * 2**10
"""So many datasets that mostly are smaller than this are single samples."""


@dataclass(frozen=True)
class SlowLayouts:
    """What makes a file slow to train on, or larger than it need be.

    Args:
        findings: What it is, dataset by dataset.
        command: The command that mends what can be mended; None where nothing can.
    """

    findings: tuple[str, ...] = ()
    command: str | None = None


def slow_layouts(path: Path, fields: Sequence[StoredField], datasets: Sequence[h5py.Dataset]) -> SlowLayouts:
    """Find what makes a file slow to train on.

    Args:
        path: The file.
        fields: Its fields.
        datasets: All datasets in it.

    Returns:
        What was found, and the command that mends it.
    """
    found: list[str] = []
    classes: dict[str, None] = {}
    bare, noise = False, False
    for field in fields:
        for dataset in field.datasets.values():
            where = str(dataset.name).strip("/")
            if dataset.shape and h5py.check_string_dtype(dataset.dtype) and field.row_shape == ():
                found.append(f"{where}: it holds texts, which no network takes; classes are numbers with names")
                classes[field.name] = None
            elif dataset.shape and dataset.nbytes >= SMALLEST_BYTES:
                found += [f"{where}: {problem}" for problem in _slow_chunks(dataset)]
                if wasted := _useless_codec(dataset):
                    found.append(f"{where}: {wasted}")
                    noise = True
                if (saved := _unpacked(dataset)) >= WORTH_PACKING:
                    found.append(f"{where}: it is stored as it is; gzip makes it about {saved:.0f} times smaller")
                    bare = True
    words = ["dlcli", "data", "repack", str(path), "-o", f"{path.stem}-repacked.h5"]
    words += ["--codec", "gzip"] if bare and not noise else []  # it would compress noise, too
    words += [word for name in classes for word in ("--dtype", f"{name}=classes")]
    command = shlex.join(words) if found else None
    sizes = [dataset.nbytes for dataset in datasets if dataset.shape is not None]
    if len(sizes) >= MANY_DATASETS and statistics.median(sizes) < TINY_BYTES:
        found.append(
            f"it holds {len(sizes):,} datasets of {statistics.median(sizes):,.0f} bytes each, as the median, and each "
            "is found and opened on its own: stack them to one dataset a field, N first"
        )
    return SlowLayouts(tuple(found), command)


def _slow_chunks(dataset: h5py.Dataset) -> list[str]:
    """Return what is slow about the chunks of a dataset."""
    if not dataset.chunks:
        return []
    chunks, shape = dataset.chunks, dataset.shape
    size = math.prod(chunks) * dataset.dtype.itemsize
    across = math.prod(-(-whole // length) for length, whole in zip(chunks[1:], shape[1:], strict=True))
    found = []
    if across > 1:
        found.append(f"a row lies in {across:,} chunks ({'×'.join(map(str, chunks))}), and each is read for it")
    if size > LARGE_CHUNK:
        found.append(f"a chunk has {size / 1e6:,.0f} MB, and all of it is read for any row of it")
    elif across == 1 and size < SMALL_CHUNK:
        rows = "one row" if chunks[0] == 1 else f"{chunks[0]:,} rows"
        found.append(f"a chunk has {rows}, {size:,} bytes, and opening one takes longer than reading it")
    return found


def _useless_codec(dataset: h5py.Dataset) -> str | None:
    """Return what is said of compressed floats that are hardly smaller for it."""
    stored = dataset.id.get_storage_size()
    codecs = codecs_of(dataset)
    if not codecs or dataset.dtype.kind != "f" or not stored or dataset.nbytes >= LEAST_SAVED * stored:
        return None
    saved = max(0.0, 1 - stored / dataset.nbytes)
    return f"{codecs[0]} saves {saved:.0%} of these floats, and takes its time at each reading"


def _unpacked(dataset: h5py.Dataset) -> float:
    """Return how many times smaller rows of a large dataset become in gzip; 0 where they are compressed already."""
    if dataset.dtype.kind not in "buif" or dataset.nbytes < LARGE_CHUNK or codecs_of(dataset):
        return 0.0
    middle, rows = len(dataset) // 2, max(1, TINY_BYTES // row_bytes(dataset))
    block = dataset[middle : middle + rows]
    return float(block.nbytes / len(zlib.compress(block.tobytes(), 4)))
