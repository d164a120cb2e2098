"""Batches of a dataset in memory, gathered many at a time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch, StackedRows
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.data.order import count_steps, epoch_rows
from dlcli.data.sources import Source, SourceRoom, Sources
from dlcli.data.stacked_sources import StackedSources

BLOCK_BYTES = 2 * 2**20
"""Inputs gathered at once: enough that a small network does not wait for gathers, and what a cache holds."""
STACKED_BYTES = 2**20
"""Inputs of a stack gathered at once: what a processor keeps at hand, since a stack's batch is many."""
EVALUATION_ROWS = 4096
EVALUATION_BYTES = 64 * 2**20
EVALUATION_STEPS = 2**14
"""Of sequences and tokens: a network makes hundreds of numbers of every step, however small the input is."""
STACKED_ROWS = 64
"""Rows of each member evaluated at once, at least."""


class InMemoryBatches:
    """The batches of any member over one dataset in memory; implements `dlcli.contracts.batch.Batches`.

    Args:
        dataset: The data; not copied where it needs no change and the device is the CPU.
        device: Where batches are wanted.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self._device = device
        self._sources = SourceRoom(dataset, device)
        self._target = dataset.tensors[dataset.target.name]
        self._stacked: dict[bool, tuple[tuple[object, ...], tuple[Member, ...], StackedSources]] = {}

    def steps(self, member: Member) -> int:
        """Return the number of batches in one epoch of a member.

        Args:
            member: Whose.

        Returns:
            At least 1.

        Raises:
            DataError: There would be none.
        """
        return count_steps(len(member.training_rows), member.batch_size, member.drop_last)

    def training(self, member: Member, epoch: int) -> Iterator[Batch]:
        """Yield one epoch of full batches, in an order that is a function of (member seed, epoch).

        Args:
            member: Whose.
            epoch: Number of the epoch, from 1.

        Yields:
            Batch: `member.batch_size` rows each; weights are None where every row counts 1, which is all but a filled
            last batch unless rows have weights.

        Raises:
            DataError: There would be no batch.
        """
        size = member.batch_size
        index, filler = self._epoch_rows(member, epoch)
        sources = self._sources.of(member, training=True)
        weights = self._training_weights(member, sources)
        at_once = max(1, BLOCK_BYTES // (size * sources.row_bytes))
        for first in range(0, len(index), at_once):
            rows = index[first : first + at_once].reshape(-1)
            last = first + at_once >= len(index)
            yield from self._gathered(sources, rows, size, weights, filler if last else None)

    def evaluation(self, member: Member, rows: Tensor) -> Iterator[Batch]:
        """Yield given rows in their order; the last batch may be short.

        Args:
            member: Whose preprocessing, fed inputs and offset.
            rows: Rows of the dataset, int64.

        Yields:
            Batch: up to 4096 rows each, of sequences up to 16384 steps. Their weight is that of the file's weight
            field: a member's own row weights say which rows it learns from (a bootstrap's are 0 for rows it left out),
            not what a row is worth.
        """
        sources = self._sources.of(member)
        size = max(1, min(EVALUATION_ROWS, EVALUATION_STEPS // _steps(member), EVALUATION_BYTES // sources.row_bytes))
        for first in range(0, len(rows), size):
            yield from self._gathered(sources, rows[first : first + size], size, sources.weights, None)

    def stacked_training(self, members: Sequence[Member], epoch: int) -> Iterator[Batch]:
        """Yield one epoch of several members: what each gets alone, on a leading member axis.

        Args:
            members: They have one batch size and as many steps.
            epoch: Number of the epoch, from 1.

        Yields:
            Batch: Tensors (M, B, …).

        Raises:
            DataError: There would be no batch.
        """
        size = members[0].batch_size
        orders = [self._epoch_rows(member, epoch) for member in members]
        index = torch.stack([rows for rows, _ in orders])
        fillers = [filler for _, filler in orders]
        stack = self._stack(members, training=True)
        own_weights = [
            self._training_weights(member, sources) for member, sources in zip(members, stack.each, strict=True)
        ]
        weighted = any(weights is not None for weights in own_weights)
        last_weights = None if all(filler is None for filler in fillers) else _filler_weights(fillers, size)
        steps = index.shape[1]
        at_once = max(1, STACKED_BYTES // (size * stack.each[0].row_bytes * len(members)))
        for first in range(0, steps, at_once):
            rows = index[:, first : first + at_once]
            weights: list[Tensor | None] = [None] * rows.shape[1]
            if weighted:
                own = torch.stack([_weights(w, r, self._device) for w, r in zip(own_weights, rows, strict=True)])
                weights = list(own.unbind(1))
            if last_weights is not None and first + rows.shape[1] == steps:
                counted, given = last_weights.to(self._device), weights[-1]
                weights[-1] = counted if given is None else given * counted
            yield from stack.gathered(rows, weights, self._device)

    def stacked_evaluation(self, members: Sequence[Member], rows: Sequence[Tensor]) -> StackedRows:
        """Return given rows of every member, each in their order; the last batch may be short.

        Args:
            members: Whose preprocessing, fed inputs and offsets.
            rows: Rows of the dataset, int64, of every member.

        Returns:
            The rows; shared where all members see the same.
        """
        stack = self._stack(members)
        longest = max(len(own) for own in rows)
        size = max(STACKED_ROWS, min(EVALUATION_ROWS, EVALUATION_STEPS // _steps(members[0])) // len(members))
        size = max(1, min(size, EVALUATION_BYTES // (stack.each[0].row_bytes * len(members))))
        shared = stack.shared and all(own is rows[0] or torch.equal(own, rows[0]) for own in rows)
        if shared:
            batches = self._gathered(stack.each[0], rows[0], size, stack.each[0].weights, None)
            return StackedRows(True, ((batch, [len(batch.target)] * len(members)) for batch in batches))

        def padded() -> Iterator[tuple[Batch, list[int]]]:
            for first in range(0, longest, size):
                parts = [own[first : first + size] for own in rows]
                counts = [len(part) for part in parts]
                width = min(size, longest - first)
                # Any row of the member will do as filler.
                index = torch.stack(
                    [torch.cat([p, own[:1].expand(width - len(p))]) for p, own in zip(parts, rows, strict=True)]
                )
                weights = torch.stack(
                    [_weights(s.weights, r, self._device) for s, r in zip(stack.each, index, strict=True)]
                )
                for own, count in zip(weights, counts, strict=True):
                    own[count:] = 0
                for batch in stack.gathered(index.unsqueeze(1), [weights], self._device):
                    yield batch, counts

        return StackedRows(False, padded())

    def _stack(self, members: Sequence[Member], *, training: bool = False) -> StackedSources:
        # The members are kept beside, so that the identities in the key stay theirs.
        key = (training, *map(id, members))
        found = self._stacked.get(training)
        if found is None or found[0] != key:
            sources = StackedSources([self._sources.of(member, training=training) for member in members])
            found = self._stacked[training] = key, tuple(members), sources
        return found[2]

    def _epoch_rows(self, member: Member, epoch: int) -> tuple[Tensor, Tensor | None]:
        rows, labels = member.training_rows, None
        if member.switches.sampling == "class_balanced":
            labels = self._target.index_select(0, rows).flatten().long()
        return epoch_rows(
            rows, member.batch_size, seed=member.seed, epoch=epoch, drop_last=member.drop_last, labels=labels
        )

    def _training_weights(self, member: Member, sources: Sources) -> Tensor | None:
        if member.row_weights is None:
            return sources.weights
        own = member.row_weights.to(self._device, torch.float32)
        return own if sources.weights is None else own * sources.weights

    def _gathered(
        self, sources: Sources, rows: Tensor, size: int, row_weights: Tensor | None, filler: Tensor | None
    ) -> Iterator[Batch]:
        """Gather rows at once and hand them out in batches; `filler` are the weights of the last one's rows."""
        device_rows = rows.to(self._device)
        count = -(-len(rows) // size)

        def batches(source: Source | None) -> Iterable[Tensor | None]:
            return repeat(None, count) if source is None else torch.split(source.gather(rows, device_rows), size)

        def tuples(fields: Sequence[Source]) -> Iterable[tuple[Tensor, ...]]:
            if not fields:
                return repeat((), count)
            return zip(*(torch.split(field.gather(rows, device_rows), size) for field in fields), strict=True)

        weights: list[Tensor | None] = [None] * count
        if row_weights is not None:
            weights = list(torch.split(row_weights.index_select(0, device_rows), size))
        if filler is not None:
            counted, given = filler.to(self._device), weights[-1]
            weights[-1] = counted if given is None else given * counted
        return map(
            Batch,
            tuples(sources.inputs),
            torch.split(sources.target.gather(rows, device_rows), size),
            weights,
            tuples(sources.conditions),
            batches(sources.lengths),
            batches(sources.mask),
            batches(sources.offset),
        )


def _steps(member: Member) -> int:
    """Return how many steps a row has; 1 where it is no sequence."""
    return max((field.shape[0] for field in member.io.inputs if field.kind in ("sequence", "tokens")), default=1)


def _filler_weights(fillers: Sequence[Tensor | None], size: int) -> Tensor:
    """Return the weights (M, B) of every member's last batch: 1 for rows, 0 for filler."""
    return torch.stack([torch.ones(size) if filler is None else filler for filler in fillers])


def _weights(weights: Tensor | None, rows: Tensor, device: torch.device) -> Tensor:
    """Return the weights of rows, shaped like them."""
    if weights is None:
        return torch.ones(rows.shape, device=device)
    return weights.index_select(0, rows.reshape(-1).to(device)).view(rows.shape)
