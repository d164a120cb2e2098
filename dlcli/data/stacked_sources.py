"""What the batches of a stack are gathered from: one gather where all members have the same rows to choose from."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.data.sources import Source, Sources

JOINED_BYTES = 256 * 2**20
"""Rows of members that differ are laid end to end up to that size: a gather a member costs more than the rows."""


class StackedSources:
    """The sources of several members.

    Args:
        each: Those of every member.
    """

    def __init__(self, each: Sequence[Sources]) -> None:
        self.each = each
        self._joined: dict[tuple[int, ...], Tensor] = {}

    @property
    def shared(self) -> bool:
        """Whether a row is the same for every member, whatever field is looked at."""
        first = self.each[0]
        return all(
            _same(list(_of(other)), list(_of(first))) and other.weights is first.weights for other in self.each[1:]
        )

    def gathered(self, rows: Tensor, weights: Sequence[Tensor | None], device: torch.device) -> Iterator[Batch]:
        """Gather rows at once and hand them out step by step.

        Args:
            rows: (M, S, B), int64, on the CPU.
            weights: (M, B) of each of the S steps, on the device; None where every row counts 1.
            device: The training device.

        Returns:
            Tensors (M, B, …) of each of the S steps.
        """
        by_step = rows.transpose(0, 1).contiguous()
        device_rows = by_step.to(device)
        first = self.each[0]

        def gather(sources: Sequence[Source]) -> Tensor:
            return _gather(sources, by_step, device_rows, self._joined_rows(sources))

        def steps(pick: Callable[[Sources], Source | None]) -> Sequence[Tensor | None]:
            sources = [pick(own) for own in self.each]
            if any(source is None for source in sources):
                return [None] * len(by_step)
            return gather([source for source in sources if source]).unbind(0)

        def tuples(pick: Callable[[Sources], tuple[Source, ...]]) -> list[tuple[Tensor, ...]]:
            fields = [gather([pick(own)[i] for own in self.each]).unbind(0) for i in range(len(pick(first)))]
            return list(zip(*fields, strict=True)) if fields else [()] * len(by_step)

        target = gather([own.target for own in self.each]).unbind(0)
        return map(
            Batch,
            tuples(lambda own: own.inputs),
            target,
            weights,
            tuples(lambda own: own.conditions),
            steps(lambda own: own.lengths),
            steps(lambda own: own.mask),
            steps(lambda own: own.offset),
        )

    def _joined_rows(self, sources: Sequence[Source]) -> Tensor | None:
        """Return the rows of all members end to end, so that one gather does; None where that gains nothing."""
        each = [source.rows for source in sources if isinstance(source.rows, Tensor)]
        if any(source.finish for source in sources) or all(rows is each[0] for rows in each):
            return None
        key = tuple(map(id, each))
        if key not in self._joined:
            if sum(rows.nbytes for rows in each) > JOINED_BYTES:
                return None
            self._joined[key] = torch.cat(each)
        return self._joined[key]


def _of(sources: Sources) -> Iterator[Source | None]:
    yield from sources.inputs
    yield from sources.conditions
    yield from (sources.target, sources.lengths, sources.mask, sources.offset)


def _same(first: Sequence[Source | None], second: Sequence[Source | None]) -> bool:
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and a.rows is b.rows and a.finish is None and b.finish is None)
        for a, b in zip(first, second, strict=True)
    )


def _gather(sources: Sequence[Source], rows: Tensor, device_rows: Tensor, joined: Tensor | None) -> Tensor:
    """Return rows (S, M, B) of one field as (S, M, B, …)."""
    first = sources[0]
    if joined is not None:
        starts = torch.arange(len(sources), device=device_rows.device) * len(first.rows)
        found = joined.index_select(0, (device_rows + starts.view(1, -1, 1)).view(-1))
        return found.view(*rows.shape, *found.shape[1:])
    if _same(sources[1:], [first] * (len(sources) - 1)) and first.finish is None:
        found = first.gather(rows.view(-1), device_rows.view(-1))
        return found.view(*rows.shape, *found.shape[1:])
    each = [
        source.gather(rows[:, place].reshape(-1), device_rows[:, place].reshape(-1)).view(len(rows), rows.shape[2], -1)
        for place, source in enumerate(sources)
    ]
    shape = first.gather(rows[0, 0, :1], device_rows[0, 0, :1]).shape[1:]
    return torch.stack(each, dim=1).view(*rows.shape, *shape)
