"""Everything in an HDF5 file, so that it can be written again: groups, datasets, links and attributes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dlcli.data.hdf5 import find, open_hdf5, way_out
from dlcli.data.row_blocks import row_blocks
from dlcli.data.storage import codecs_of
from dlcli.errors import DataError

Array = np.ndarray[Any, Any]
TALL_BYTES = 64 * 2**20
"""Read at once where chunks hold many rows: smaller blocks would read each chunk again and again."""


@dataclass(frozen=True)
class Attribute:
    """An attribute of a group or dataset.

    Args:
        name: Its name.
        value: Its value, as h5py reads it.
        dtype: Its type in the file.
        bytes: What it takes there.
    """

    name: str
    value: Any
    dtype: "np.dtype[Any]"
    bytes: int


@dataclass(frozen=True)
class StoredGroup:
    """A group.

    Args:
        path: Its path; empty for the root.
        attributes: Its attributes.
        ordered: Whether the order in which its members were made is kept.
    """

    path: str
    attributes: tuple[Attribute, ...]
    ordered: bool


@dataclass(frozen=True)
class StoredLink:
    """Another name of something.

    Args:
        path: The name.
        target: What it leads to, as it is written in the file.
        soft: Whether it is a soft link; else a further name as good as the first.
    """

    path: str
    target: str
    soft: bool


@dataclass(frozen=True)
class StoredDataset:
    """A dataset, without its rows.

    Args:
        path: Its path.
        attributes: Its attributes.
        dtype: Type of its values.
        shape: Its shape; None where it holds nothing.
        maxshape: How far it can grow.
        fill: What stands where nothing was written; None where values are of no plain type.
        compressed: Whether chunks pass a filter that makes them smaller.
        blocks: Ranges of rows that are read together; empty without a first dimension.
        single: The value of a dataset without dimensions.
    """

    path: str
    attributes: tuple[Attribute, ...]
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...] | None
    maxshape: tuple[int | None, ...] | None
    fill: Any
    compressed: bool
    blocks: tuple[tuple[int, int], ...]
    single: Any = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def rows(self) -> int:
        """Its first length; 0 where it has none."""
        return self.shape[0] if self.shape else 0


Stored = StoredGroup | StoredDataset | StoredLink


def contents(path: Path) -> list[Stored]:
    """List everything in a file, groups before what is in them.

    Args:
        path: The file.

    Returns:
        The root first.

    Raises:
        DataError: It cannot be read, leads out of itself, or holds what cannot be written again.
    """
    with open_hdf5(path) as file:
        try:
            return list(_walk(file, file["/"], "", {}))
        except DataError as cause:
            raise DataError(f"{path}: {cause}") from None
        except TypeError as cause:  # h5py's word for a type that numpy does not have
            raise DataError(f"{path}: it holds values of a type that cannot be copied: {cause}") from cause


def source_blocks(path: Path, dataset: StoredDataset) -> Iterator[tuple[int, Array]]:
    """Yield the first row and the values of every block of a dataset.

    Args:
        path: The file.
        dataset: One of its datasets.

    Yields:
        tuple[int, Array]: First row and rows.

    Raises:
        DataError: It cannot be read.
    """
    with open_hdf5(path) as file:
        stored = find(file, dataset.path)
        if not isinstance(stored, h5py.Dataset) or stored.shape != dataset.shape:
            raise DataError(f"{path}: {dataset.path} changed while it was read; leave the file alone and try again")
        for start, stop in dataset.blocks:
            yield start, stored[start:stop]


def _walk(file: h5py.File, group: h5py.Group, path: str, seen: dict[int, str]) -> Iterator[Stored]:
    seen[_address(group)] = path
    order = group.id.get_create_plist().get_link_creation_order()
    yield StoredGroup(path, _attributes(group, path), bool(order))
    for name in group:
        place = f"{path}/{name}" if path else name
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            find(file, place)  # tells of a way out and of circles
            yield StoredLink(place, group.id.links.get_val(name.encode()).decode(), soft=True)
            continue
        item = group[name]
        if (known := seen.get(_address(item))) is not None:
            yield StoredLink(place, f"/{known}", soft=False)
        elif isinstance(item, h5py.Group):
            yield from _walk(file, item, place, seen)
        elif isinstance(item, h5py.Dataset):
            seen[_address(item)] = place
            yield _dataset(file, item, place)
        else:
            raise DataError(f"{place} is a named type, which cannot be copied; remove it")


def _dataset(file: h5py.File, item: h5py.Dataset, place: str) -> StoredDataset:
    if out := way_out(file, item):
        raise DataError(f"{place}: {out}; a dataset must be whole in one file: copy that data into it")
    _refuse_references(item.dtype, place)
    shape = None if item.shape is None else tuple(map(int, item.shape))
    return StoredDataset(
        path=place,
        attributes=_attributes(item, place),
        dtype=item.dtype,
        shape=shape,
        maxshape=item.maxshape,
        fill=item.fillvalue if item.dtype.kind in "buifcSV" and item.dtype.fields is None else None,
        compressed=bool(codecs_of(item)),
        blocks=tuple(row_blocks(item, tall=TALL_BYTES)) if shape else (),
        single=item[()] if shape == () else None,
    )


def _attributes(item: h5py.Group | h5py.Dataset, place: str) -> tuple[Attribute, ...]:
    found = []
    for name in item.attrs:
        stored = item.attrs.get_id(name)
        _refuse_references(stored.dtype, f"{place or 'the file'}, attribute {name!r}")
        value = item.attrs[name]
        size = 0 if isinstance(value, h5py.Empty) else int(stored.get_storage_size())
        found.append(Attribute(name, value, stored.dtype, size))
    return tuple(found)


def _refuse_references(dtype: "np.dtype[Any]", place: str) -> None:
    inner: Sequence[np.dtype[Any] | None] = [h5py.check_vlen_dtype(dtype), dtype.base if dtype.subdtype else None]
    inner = [*inner, *(dtype[name] for name in dtype.names or ())]
    if h5py.check_ref_dtype(dtype) is not None:
        raise DataError(f"{place} holds references to places in its file, which are others in a copy; remove it")
    for each in inner:
        if isinstance(each, np.dtype):
            _refuse_references(each, place)


def _address(item: h5py.Group | h5py.Dataset) -> int:
    return int(h5py.h5o.get_info(item.id).addr)
