"""Batches of a dataset that stays on disk: all members share one order and one batch, and differ in what rows weigh."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.data.order import count_steps
from dlcli.data.sources import Source, Sources
from dlcli.data.stored_rows import StoredRows
from dlcli.data.stream import ChunkStream
from dlcli.errors import DataError

BLOCK_BYTES = 2 * 2**20
"""Rows gathered from the pool at once."""


class _Block(NamedTuple):
    """Rows of some batches.

    Args:
        rows: Row numbers (S, B), int64.
        raw: Raw rows (S·B, …) of each stored field, by name.
        counts: Whether each row counts (S, B), float32; None where all do: filler of a last batch does not.
    """

    rows: Tensor
    raw: dict[str, Tensor]
    counts: Tensor | None


class StreamedBatches(InMemoryBatches):
    """The batches of any member over one dataset whose large fields stay on disk.

    An epoch is one pass over the rows that any member learns from, in an order that is a function of (seed, epoch).
    A member gets each batch with its own rows in it, filled with these again at weight 0: what it does not learn from
    does not reach it, by its statistics either. A row that it has k times weighs k.

    Args:
        dataset: The data.
        device: Where batches are wanted.
        rows: Rows that any member learns from, int64.
        seed: The run's.
    """

    def __init__(self, dataset: Dataset, device: torch.device, rows: Tensor, seed: int) -> None:
        super().__init__(dataset, device)
        stored = {name: own for name, own in dataset.stored.items() if isinstance(own, StoredRows)}
        self._stream = ChunkStream(stored, torch.unique(rows))
        self._seed, self._total = seed, dataset.rows
        self._row_bytes = sum(field.row_bytes for field in stored.values())
        self._own: dict[int, tuple[Member, Tensor | None]] = {}

    def steps(self, member: Member) -> int:
        """Return the number of batches in one epoch, which is the same for all members of one batch size."""
        return count_steps(self._stream.rows, member.batch_size, member.drop_last)

    def training(self, member: Member, epoch: int) -> Iterator[Batch]:
        """Yield one epoch of full batches.

        Args:
            member: Whose.
            epoch: Number of the epoch, from 1.

        Yields:
            Batch: `member.batch_size` rows each.
        """
        sources = self._sources.of(member, training=True)
        for block in self._blocks(member, epoch):
            yield from self._of_member(member, sources, block)

    def stacked_training(self, members: Sequence[Member], epoch: int) -> Iterator[Batch]:
        """Yield one epoch of several members, on a leading member axis.

        Args:
            members: They have one batch size.
            epoch: Number of the epoch, from 1.

        Yields:
            Batch: Tensors (M, B, …).
        """
        each = [self._sources.of(member, training=True) for member in members]
        for block in self._blocks(members[0], epoch):
            own = (self._of_member(member, sources, block) for member, sources in zip(members, each, strict=True))
            for batches in zip(*own, strict=True):
                yield _stacked(batches)

    def _blocks(self, member: Member, epoch: int) -> Iterator[_Block]:
        """Yield an epoch some batches at a time; what a window leaves over goes into the first batch of the next."""
        size = member.batch_size
        at_once = max(1, BLOCK_BYTES // max(1, self._row_bytes * size)) * size
        first: tuple[Tensor, dict[str, Tensor]] | None = None
        over: tuple[Tensor, dict[str, Tensor]] | None = None
        for window in self._stream.epoch(self._seed, epoch):
            # What is left over and what fills it up is a block of its own, so that no other needs to be copied.
            missing = 0 if over is None else -len(over[0]) % size
            bounds = [0, *range(missing or at_once, len(window.rows), at_once), len(window.rows)]
            for begin, end in pairwise(bounds):
                rows, places = window.rows[begin:end], window.places[begin:end]
                raw = {name: values.index_select(0, places) for name, values in window.values.items()}
                if over is not None and len(over[0]):
                    rows, raw = torch.cat([over[0], rows]), {n: torch.cat([over[1][n], t]) for n, t in raw.items()}
                first = first or (rows[:size].clone(), {name: values[:size].clone() for name, values in raw.items()})
                whole = len(rows) // size * size
                over = (rows[whole:], {name: values[whole:] for name, values in raw.items()})
                if whole:
                    yield _Block(rows[:whole].view(-1, size), {n: t[:whole] for n, t in raw.items()}, None)
        if over is not None and len(over[0]) and first is not None and not member.drop_last:
            real = len(over[0])
            filler = torch.arange(size - real) % len(first[0])
            rows = torch.cat([over[0], first[0][filler]]).view(1, size)
            raw = {name: torch.cat([values, first[1][name][filler]]) for name, values in over[1].items()}
            yield _Block(rows, raw, (torch.arange(size) < real).to(torch.float32).view(1, size))

    def _of_member(self, member: Member, sources: Sources, block: _Block) -> Iterator[Batch]:
        """Return what a member gets of a block's batches."""
        rows, raw, weights = block
        size = rows.shape[1]
        own = self._weights_of(member)
        if own is not None:
            rows, picked, weights = _own_rows(rows, own, weights)
            raw = {name: values.index_select(0, picked) for name, values in raw.items()}
        index = rows.reshape(-1)
        device_index = index.to(self._device)
        given = self._training_weights(member, sources)
        if weights is not None:
            weights = weights.to(self._device)
        if given is not None:
            of_rows = given.index_select(0, device_index).view(rows.shape)
            weights = of_rows if weights is None else weights * of_rows

        def values(name: str, source: Source) -> Sequence[Tensor]:
            if isinstance(source.rows, StoredRows):
                assert source.finish is not None
                made = source.finish(raw[name].to(self._device))
            else:
                made = source.gather(index, device_index)
            return torch.split(made, size)

        def optional(source: Source | None) -> Sequence[Tensor | None]:
            return [None] * len(rows) if source is None else values("", source)

        def together(fields: Sequence[Field], each: Sequence[Source]) -> Sequence[tuple[Tensor, ...]]:
            if not fields:
                return [()] * len(rows)
            return list(zip(*(values(f.name, s) for f, s in zip(fields, each, strict=True)), strict=True))

        return map(
            Batch,
            together(member.io.inputs, sources.inputs),
            values("", sources.target),
            [None] * len(rows) if weights is None else weights.unbind(),
            together(member.io.conditions, sources.conditions),
            optional(sources.lengths),
            optional(sources.mask),
            optional(sources.offset),
        )

    def _weights_of(self, member: Member) -> Tensor | None:
        """Return how often a member has each row of the dataset (N,); None where it has each of the stream's once."""
        found = self._own.get(id(member))
        if found is None:
            counts = torch.bincount(member.training_rows, minlength=self._total).to(torch.float32)
            if not bool(torch.isin(member.training_rows, self._stream.wanted).all()):
                raise DataError(f"{member.identity or 'the network'} is to learn from rows that are not streamed")
            everything = len(member.training_rows) == self._stream.rows and bool((counts <= 1).all())
            # The member is kept beside, so that the identity in the key stays its.
            found = self._own[id(member)] = member, None if everything else counts
        return found[1]


def _own_rows(rows: Tensor, own: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, places and weights of batches (S, B) in which a member finds its own rows alone.

    Its own come first, in order; then these again, at weight 0. A batch without any has others, at weight 0.
    """
    weights = own[rows] if counts is None else own[rows] * counts
    mine = weights > 0
    many = mine.sum(dim=1, keepdim=True)
    order = torch.argsort((~mine).to(torch.int8), dim=1, stable=True)
    places = torch.arange(rows.shape[1]).expand_as(rows)
    chosen = order.gather(1, places % many.clamp_min(1).where(many > 0, rows.shape[1]))
    kept = weights.gather(1, chosen) * (places < many)
    flat = chosen + torch.arange(len(rows)).unsqueeze(1) * rows.shape[1]
    return rows.gather(1, chosen), flat.reshape(-1), kept


def _stacked(batches: Sequence[Batch]) -> Batch:
    first = batches[0]

    def stack(each: Sequence[Tensor | None]) -> Tensor | None:
        given = [one for one in each if one is not None]
        return torch.stack(given) if given else None

    weighted = any(batch.weight is not None for batch in batches)
    weights = [
        torch.ones(len(batch.target), device=batch.target.device) if batch.weight is None else batch.weight
        for batch in batches
    ]
    return Batch(
        tuple(torch.stack([batch.inputs[i] for batch in batches]) for i in range(len(first.inputs))),
        torch.stack([batch.target for batch in batches]),
        torch.stack(weights) if weighted else None,
        tuple(torch.stack([batch.conditions[i] for batch in batches]) for i in range(len(first.conditions))),
        stack([batch.lengths for batch in batches]),
        stack([batch.mask for batch in batches]),
        stack([batch.offset for batch in batches]),
    )


def make_batches(dataset: Dataset, device: torch.device, rows: Sequence[Tensor], seed: int) -> InMemoryBatches:
    """Return the batches of a dataset, from memory or streamed.

    Args:
        dataset: The data.
        device: Where batches are wanted.
        rows: Rows that any member will learn from, int64, in parts.
        seed: The run's, which decides the order of a stream.

    Returns:
        The batches.
    """
    if not dataset.stored:
        return InMemoryBatches(dataset, device)
    return StreamedBatches(dataset, device, torch.cat(list(rows)), seed)
