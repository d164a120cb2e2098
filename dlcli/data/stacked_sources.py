"""What the batches of a stack are gathered from: one gather where all members have the same rows to choose from."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.data.sources import Source, Sources


class StackedSources:
    """The sources of several members.

    Args:
        each: Those of every member.
    """

    def __init__(self, each: Sequence[Sources]) -> None:
        self.each = each

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

        def steps(pick: Callable[[Sources], Source | None]) -> Sequence[Tensor | None]:
            sources = [pick(own) for own in self.each]
            if any(source is None for source in sources):
                return [None] * len(by_step)
            found = _gather([source for source in sources if source], by_step, device_rows)
            return found.unbind(0)

        def tuples(pick: Callable[[Sources], tuple[Source, ...]]) -> list[tuple[Tensor, ...]]:
            fields = [
                _gather([pick(own)[i] for own in self.each], by_step, device_rows).unbind(0)
                for i in range(len(pick(first)))
            ]
            return list(zip(*fields, strict=True)) if fields else [()] * len(by_step)

        target = _gather([own.target for own in self.each], by_step, device_rows).unbind(0)
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


def _gather(sources: Sequence[Source], rows: Tensor, device_rows: Tensor) -> Tensor:
    """Return rows (S, M, B) of one field as (S, M, B, …)."""
    first = sources[0]
    if _same(sources[1:], [first] * (len(sources) - 1)) and first.finish is None:
        found = first.gather(rows.view(-1), device_rows.view(-1))
        return found.view(*rows.shape, *found.shape[1:])
    each = [
        source.gather(rows[:, place].reshape(-1), device_rows[:, place].reshape(-1)).view(len(rows), rows.shape[2], -1)
        for place, source in enumerate(sources)
    ]
    shape = first.gather(rows[0, 0, :1], device_rows[0, 0, :1]).shape[1:]
    return torch.stack(each, dim=1).view(*rows.shape, *shape)
