"""Batches, and where training gets them from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from dlcli.contracts.member import Member


class Batch(NamedTuple):
    """One batch on the training device.

    Args:
        inputs: One preprocessed tensor a field (B, …), in the order of `InputOutput.inputs`.
        target: As in `Task`.
        weight: Weight of every row (B,), 0 for filler; None where every row counts 1.
        conditions: One preprocessed tensor a condition field (B, …).
        lengths: Valid steps of every row (B,), where the data has them.
        mask: Which positions count (B, T), where the data has it.
        offset: Added to the outputs before the loss, the output's shape; None where there is none.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor | None = None
    conditions: tuple[Tensor, ...] = ()
    lengths: Tensor | None = None
    mask: Tensor | None = None
    offset: Tensor | None = None


@dataclass(frozen=True)
class StackedRows:
    """Rows of several members, to be evaluated together.

    Args:
        shared: Whether all members have the same rows, which then come without a member axis.
        batches: Batches, (M, B, …) or, shared, (B, …), each with the number of rows of every member in it; the rest is
            filler with weight 0.
    """

    shared: bool
    batches: Iterator[tuple[Batch, Sequence[int]]]


class Batches(Protocol):
    """The batches of any member over one shared dataset; made by the data room, used by both engines."""

    def steps(self, member: "Member") -> int:
        """Return the number of batches in one epoch of a member."""
        ...

    def training(self, member: "Member", epoch: int) -> Iterator[Batch]:
        """Return one epoch: full batches in an order that is a function of (member seed, epoch)."""
        ...

    def evaluation(self, member: "Member", rows: Tensor) -> Iterator[Batch]:
        """Return given rows in their order, in batches as large as is quick; the last one may be short."""
        ...

    def stacked_training(self, members: "Sequence[Member]", epoch: int) -> Iterator[Batch]:
        """Return one epoch of members that have as many steps: what each gets alone, on a leading member axis."""
        ...

    def stacked_evaluation(self, members: "Sequence[Member]", rows: Sequence[Tensor]) -> StackedRows:
        """Return given rows of every member, each in their order."""
        ...
