"""What batches are gathered from: rows on the training device, preprocessed once where the result is small enough."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset, FieldRows
from dlcli.contracts.field import Field
from dlcli.contracts.member import Member
from dlcli.data.preprocessing import columns_dimension, network_dtype, on_device, preprocess

PREPARED_BYTES = 2 * 2**30
"""Preprocessed rows kept, of all members together; a member that needs more is preprocessed batch by batch."""
_PREPARE_BYTES = 64 * 2**20
"""Preprocessed at once, so that the temporaries stay small."""


@dataclass(frozen=True)
class Source:
    """Where one tensor of a batch is gathered from.

    Args:
        rows: All rows of the dataset, on the training device; or, with `finish`, raw and where the dataset is.
        finish: What is left to do to gathered rows on the training device.
    """

    rows: FieldRows
    finish: Callable[[Tensor], Tensor] | None = None

    def gather(self, index: Tensor, device_index: Tensor) -> Tensor:
        """Return rows of one index, given on the CPU and on the training device."""
        if self.finish is None:
            return self.rows.index_select(0, device_index)
        return self.finish(self.rows.index_select(0, index).to(device_index.device))


@dataclass(frozen=True)
class Sources:
    """Where everything in a member's batches is gathered from.

    Args:
        inputs: One source an input field.
        conditions: One source a condition field.
        target: The target.
        lengths: Valid steps, where the data has them.
        mask: Which positions count, where the data has it.
        offset: The member's offset, where it has one.
        weights: Weight of every row on the training device (N,), from the file; None where it has none.
        row_bytes: Bytes of one row's inputs and conditions.
    """

    inputs: tuple[Source, ...]
    conditions: tuple[Source, ...]
    target: Source
    lengths: Source | None
    mask: Source | None
    offset: Source | None
    weights: Tensor | None
    row_bytes: int


class SourceRoom:
    """Makes the sources of any member over one dataset, and keeps what is costly to make again.

    Args:
        dataset: The data.
        device: The training device.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self._dataset = dataset
        self._device = device
        self._shared: dict[tuple[str, torch.dtype], Tensor] = {}
        # Beside each tensor is what it was made from, so that the identities in its key stay theirs.
        self._prepared: dict[tuple[object, ...], tuple[tuple[object, ...], Tensor]] = {}

    def of(self, member: Member, *, training: bool = False) -> Sources:
        """Return the sources of a member's batches, to train on or to be judged by."""
        fields = (*member.io.inputs, *member.io.conditions)
        row_bytes = sum(_row_bytes(field) for field in fields)
        keep = row_bytes * self._dataset.rows <= PREPARED_BYTES
        sources = tuple(self._field(field, member, keep) for field in fields)
        count = len(member.io.inputs)
        weights = self._dataset.by_role("weight")
        other = member.training_target if training else None
        target = self._share(self._dataset.target.name) if other is None else other.to(self._device)
        if training and member.target_scale is not None:
            target = member.target_scale.scaled(target)
        return Sources(
            inputs=sources[:count],
            conditions=sources[count:],
            target=Source(target),
            lengths=self._role("length", torch.int64),
            mask=self._role("mask", torch.bool),
            offset=None if member.offset is None else Source(member.offset.to(self._device, torch.float32)),
            weights=self._share(weights[0].name, torch.float32) if weights else None,
            row_bytes=max(1, row_bytes),
        )

    def _role(self, role: str, dtype: torch.dtype) -> Source | None:
        fields = self._dataset.by_role(role)
        return Source(self._share(fields[0].name, dtype)) if fields else None

    def _share(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return a field of the dataset on the device; no copy where nothing changes."""
        rows = self._dataset.tensors[name]
        key = (name, dtype or rows.dtype)
        if key not in self._shared:
            self._shared[key] = rows.to(self._device, key[1])
        return self._shared[key]

    def _field(self, field: Field, member: Member, keep: bool) -> Source:
        """Return one field as the network gets it: all rows at once, or rows as they are gathered."""
        fed = member.fed.get(field.name)
        columns = member.input_columns.get(field.name)
        fitted = member.preprocessing.get(field.name, ())
        if fed is None and field.name in self._dataset.stored:
            keep = False  # read as it is gathered
        rows = self._dataset.rows_of(field.name) if fed is None else fed
        if keep and fed is None and columns is None and not fitted and rows.dtype == network_dtype(field.kind):
            return Source(self._share(field.name))
        there = on_device(fitted, self._device)
        chosen = None if columns is None else columns.to(self._device)

        def finish(values: Tensor) -> Tensor:
            made = preprocess(there, field.kind, values)
            if chosen is None:
                return made
            return made.index_select(columns_dimension(field.kind, made), chosen)

        if not keep:
            return Source(rows, finish)
        assert isinstance(rows, Tensor)
        return Source(self._prepare((rows, columns, *fitted), field, rows, finish))

    def _prepare(
        self, made_from: tuple[object, ...], field: Field, rows: Tensor, finish: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return all rows preprocessed, kept from before where they were made from the very same objects."""
        key = (field.kind, *(id(part) for part in made_from))
        if key in self._prepared:
            self._prepared[key] = self._prepared.pop(key)  # the latest used is the last to go
            return self._prepared[key][1]
        step = max(1, _PREPARE_BYTES // _row_bytes(field))
        made = torch.cat([finish(part.to(self._device)) for part in torch.split(rows, step)])
        while self._prepared and made.nbytes + sum(kept.nbytes for _, kept in self._prepared.values()) > PREPARED_BYTES:
            del self._prepared[next(iter(self._prepared))]
        self._prepared[key] = (made_from, made)
        return made


def _row_bytes(field: Field) -> int:
    """Return how many bytes a row takes once it is preprocessed."""
    size = network_dtype(field.kind).itemsize
    for length in field.shape:
        size *= length
    return size
