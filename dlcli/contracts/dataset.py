"""A dataset in memory, as it crosses rooms."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task


@dataclass(frozen=True)
class Dataset:
    """All rows of all splits, one tensor a field, and which rows belong to which split.

    Args:
        fields: Every field that has a role, by name.
        tensors: Rows of every field (N, *field.shape), as stored; images are channels first; targets as in `Task`.
        splits: Row indices, int64, of `train` and, where there are, `val` and `test`.
        task: The task.
        per_position: Whether there is a target for each of T positions.
        fingerprint: Digest of the file's contents.
    """

    fields: Mapping[str, Field]
    tensors: Mapping[str, Tensor]
    splits: Mapping[str, Tensor]
    task: Task
    per_position: bool
    fingerprint: str

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
