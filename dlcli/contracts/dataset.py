"""A dataset in memory, as it crosses rooms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task


class FieldRows(Protocol):
    """All rows of a field (N, …): a tensor, or what reads them from disk as they are asked for."""

    @property
    def shape(self) -> torch.Size:
        """Shape of all rows."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that all rows take in memory."""
        ...

    def is_floating_point(self) -> bool:
        """Return whether values are floats."""
        ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return rows (dimension 0) in the order of an index, int64."""
        ...

    def __getitem__(self, key: slice, /) -> Tensor:
        """Return rows that lie one after another."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Dataset:
    """All rows of all splits, one tensor a field, and which rows belong to which split.

    Args:
        fields: Every field that has a role, by name.
        tensors: Rows of every field that is in memory (N, *field.shape), as stored; images are channels first; targets
            as in `Task`.
        splits: Row indices, int64, of `train` and, where there are, `val` and `test`.
        task: The task.
        per_position: Whether there is a target for each of T positions.
        fingerprint: Digest of the file's contents.
        stored: Rows of the inputs and conditions that stay on disk, because they are too large.
    """

    fields: Mapping[str, Field]
    tensors: Mapping[str, Tensor]
    splits: Mapping[str, Tensor]
    task: Task
    per_position: bool
    fingerprint: str
    stored: Mapping[str, FieldRows] = field(default_factory=dict)

    def rows_of(self, name: str) -> FieldRows:
        """Return all rows of a field, wherever they are."""
        return self.stored[name] if name in self.stored else self.tensors[name]

    def by_role(self, role: str) -> tuple[Field, ...]:
        """Return the fields of a role, in the order of the file."""
        return tuple(field for field in self.fields.values() if field.role == role)

    @property
    def target(self) -> Field:
        """The field that is to be predicted."""
        return self.by_role("target")[0]

    @property
    def rows(self) -> int:
        """Number of rows of all splits together."""
        return len(self.tensors[self.target.name])
