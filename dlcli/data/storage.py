"""How a field is stored: chunks, filters, and what they save."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    from dlcli.data.stored import StoredField

_NAMES = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_LZF: "lzf",
    h5py.h5z.FILTER_SZIP: "szip",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_NBIT: "nbit",
    h5py.h5z.FILTER_SCALEOFFSET: "scaleoffset",
}
_NOT_SMALLER = {"shuffle", "fletcher32"}
"""Filters that make nothing smaller by themselves."""


@dataclass(frozen=True)
class Storage:
    """How the datasets of a field are stored.

    Args:
        chunks: Shape of a chunk of the first; None where its values lie in one piece.
        filters: What each chunk passes through, such as `shuffle` and `gzip 4`.
        bytes: Size of the values of all parts.
        stored_bytes: What they take in the file.
    """

    chunks: tuple[int, ...] | None
    filters: tuple[str, ...]
    bytes: int
    stored_bytes: int

    @property
    def ratio(self) -> float | None:
        """How many times smaller the stored values are; None where nothing is stored."""
        return self.bytes / self.stored_bytes if self.stored_bytes else None


def storage_of(field: "StoredField") -> Storage:
    """Return how a field is stored."""
    datasets: Sequence[h5py.Dataset] = list(field.datasets.values())
    return Storage(
        chunks=field.first.chunks,
        filters=filters_of(field.first),
        bytes=sum(dataset.nbytes for dataset in datasets if dataset.shape is not None),
        stored_bytes=sum(dataset.id.get_storage_size() for dataset in datasets),
    )


def filters_of(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of the filters of a dataset, in the order in which values pass them; gzip with its level."""
    plan = dataset.id.get_create_plist()
    found = []
    for place in range(plan.get_nfilters()):
        code, _, values, name = plan.get_filter(place)
        shown = _NAMES.get(code) or name.decode(errors="replace").strip() or f"filter {code}"
        found.append(f"{shown} {values[0]}" if code == h5py.h5z.FILTER_DEFLATE and values else shown)
    return tuple(found)


def codecs_of(dataset: h5py.Dataset) -> list[str]:
    """Return the names of those filters that compress."""
    names = [name.split()[0] for name in filters_of(dataset)]
    return [name for name in names if name not in _NOT_SMALLER]
