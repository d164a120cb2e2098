"""Batches of a dataset in memory, gathered many at a time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.data.order import count_steps, epoch_rows
from dlcli.data.sources import Source, SourceRoom, Sources

BLOCK_BYTES = 16 * 2**20
"""Inputs gathered at once: enough that a small network does not wait for gathers, too little to matter in memory."""
EVALUATION_ROWS = 4096
EVALUATION_BYTES = 64 * 2**20


class InMemoryBatches:
    """The batches of any member over one dataset in memory; implements `dlcli.contracts.batch.Batches`.

    Args:
        dataset: The data; not copied where it needs no change and the device is the CPU.
        device: Where batches are wanted.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self._device = device
        self._sources = SourceRoom(dataset, device)

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
        index, filler = epoch_rows(
            member.training_rows, size, seed=member.seed, epoch=epoch, drop_last=member.drop_last
        )
        sources = self._sources.of(member)
        weights = sources.weights
        if member.row_weights is not None:
            own = member.row_weights.to(self._device, torch.float32)
            weights = own if weights is None else own * weights
        at_once = max(1, BLOCK_BYTES // (size * sources.row_bytes))
        for first in range(0, len(index), at_once):
            rows = index[first : first + at_once].reshape(-1)
            last = first + at_once >= len(index)
            yield from self._gathered(sources, rows, size, weights, filler if last else None)

    def evaluation(self, member: Member, rows: Tensor) -> Iterator[Batch]:
        """Yield given rows in their order; the last batch may be short.

        Args:
            member: Whose preprocessing, replacements and offsets.
            rows: Rows of the dataset, int64.

        Yields:
            Batch: up to 4096 rows each. Their weight is that of the file's weight field: a member's own row weights say
            which rows it learns from (a bootstrap's are 0 for rows it left out), not what a row is worth.
        """
        sources = self._sources.of(member)
        size = max(1, min(EVALUATION_ROWS, EVALUATION_BYTES // sources.row_bytes))
        for first in range(0, len(rows), size):
            yield from self._gathered(sources, rows[first : first + size], size, sources.weights, None)

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
