"""One epoch of rows that stay on disk: whole chunks in shuffled order into a bounded pool, read ahead."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.randomness import stream as random_stream
from dlcli.data.stored_rows import StoredRows

POOL_BYTES = 96 * 2**20
"""Rows from which batches are drawn, at most; as much again is read ahead."""
POOL_CHUNKS = 96
"""Chunks in the pool, at most: a batch of 64 has rows of three quarters of the chunks that a full shuffle gives."""
CACHED_BYTES_A_SECOND = 10**9
"""What is read more slowly comes from the disk."""


@dataclass(frozen=True)
class Window:
    """The chunks that are in the pool together.

    Args:
        rows: Row numbers in the order in which they are handed out, int64 (W,).
        places: Where each lies in `values`, int64 (W,).
        values: Raw rows by field name, as they were read; overwritten once the next window is asked for.
    """

    rows: Tensor
    places: Tensor
    values: Mapping[str, Tensor]


class ChunkStream:
    """Reads fields of the same rows together, chunk by chunk.

    Args:
        fields: Stored fields by name; the chunks are those of the one with the largest rows.
        rows: The rows that are wanted, int64; chunks without any are not read.

    Attributes:
        wanted: The rows in order.
    """

    def __init__(self, fields: Mapping[str, StoredRows], rows: Tensor) -> None:
        self._fields = dict(fields)
        largest = max(self._fields.values(), key=lambda field: field.row_bytes)
        self._row_bytes = sum(field.row_bytes for field in self._fields.values())
        self.wanted = rows.sort().values
        bounds = torch.tensor([first for first, _ in largest.chunks()] + [len(largest)])
        edges = torch.searchsorted(self.wanted, bounds)
        chunks = torch.stack([bounds[:-1], bounds[1:], edges[:-1], edges[1:]], dim=1)
        # First row and the one after the last, and where the wanted ones among them begin and end in `wanted`.
        self._chunks = chunks[chunks[:, 2] < chunks[:, 3]]
        self._ranges = [(first, last) for first, last in self._chunks[:, :2].tolist()]

    @property
    def rows(self) -> int:
        """How many rows an epoch has."""
        return len(self.wanted)

    def windows(self, seed: int, epoch: int) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Yield, for each window in turn, its chunks, and its rows in order with their places in what is read.

        Args:
            seed: Decides the order.
            epoch: Number of the epoch, from 1; with the arguments before it, nothing else does.

        Yields:
            tuple[list[int], Tensor, Tensor]: Numbers of chunks; rows, int64 (W,); places, int64 (W,). Every row comes
                once in an epoch.
        """
        generator = random_stream(seed, "order", epoch)
        order: list[int] = torch.randperm(len(self._ranges), generator=generator).tolist()
        chosen: list[int] = []
        held = 0
        for number in order:
            first, last = self._ranges[number]
            full = (held + last - first) * self._row_bytes > POOL_BYTES or len(chosen) == POOL_CHUNKS
            if chosen and full:
                yield chosen, *self._shuffled(chosen, generator)
                chosen, held = [], 0
            chosen.append(number)
            held += last - first
        yield chosen, *self._shuffled(chosen, generator)

    def _shuffled(self, chosen: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        first, last, begin, end = self._chunks[torch.tensor(chosen)].unbind(1)
        counts, sizes = end - begin, last - first
        within = torch.arange(int(counts.sum())) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        rows = self.wanted[begin.repeat_interleave(counts) + within]
        places = rows + (sizes.cumsum(0) - sizes - first).repeat_interleave(counts)
        mixed = torch.randperm(len(rows), generator=generator)
        return rows[mixed], places[mixed]

    def epoch(self, seed: int, epoch: int) -> Iterator[Window]:
        """Return the windows of an epoch; the next one is read while one is used.

        Args:
            seed: Decides the order.
            epoch: Number of the epoch, from 1.

        Returns:
            Windows, as they are read.

        Raises:
            DataError: While they are read: the file is not there any more, or is damaged.
        """
        planned = self.windows(seed, epoch)
        if all(field.in_pieces for field in self._fields.values()):
            return self._read_here(planned)
        return self._read_ahead(planned)

    def _read_here(self, planned: Iterator[tuple[list[int], Tensor, Tensor]]) -> Iterator[Window]:
        """Yield windows that are copied when they are wanted, which takes a millisecond where the system has the bytes.

        Where it is slower, they come from the disk: then the system is asked one window before. A thread would take
        Python's lock once a piece, and make a small network wait for it.
        """
        buffers = self._buffers()
        slow = False
        coming = next(planned, None)
        while coming is not None:
            (chosen, rows, places), coming = coming, next(planned, None)
            if coming is not None and slow:
                for field in self._fields.values():
                    field.expect([self._ranges[number] for number in coming[0]])
            start = time.perf_counter()
            count = self._read(chosen, buffers)
            slow |= time.perf_counter() - start > count * self._row_bytes / CACHED_BYTES_A_SECOND
            yield Window(rows, places, buffers)

    def _read_ahead(self, planned: Iterator[tuple[list[int], Tensor, Tensor]]) -> Iterator[Window]:
        ahead: queue.Queue[Window | BaseException | None] = queue.Queue(maxsize=1)
        # One window in use, one read ahead; their memory is used again, since fresh memory costs more than to fill it.
        free: queue.Queue[dict[str, Tensor] | None] = queue.Queue()
        free.put(self._buffers())

        def read_ahead() -> None:
            try:
                for number, (chosen, rows, places) in enumerate(planned):
                    if number == 1:
                        free.put(self._buffers())
                    buffers = free.get()
                    if buffers is None:
                        return
                    self._read(chosen, buffers)
                    ahead.put(Window(rows, places, buffers))
                ahead.put(None)
            except BaseException as error:  # told by the one who reads
                ahead.put(error)

        reader = threading.Thread(target=read_ahead, name="read ahead", daemon=True)
        reader.start()
        try:
            while (found := ahead.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
                free.put(dict(found.values))
        finally:
            free.put(None)
            while reader.is_alive():
                try:
                    ahead.get(timeout=0.05)
                except queue.Empty:
                    continue
            reader.join()

    def _buffers(self) -> dict[str, Tensor]:
        """Return memory for the largest window that there may be."""
        largest = max(last - first for first, last in self._ranges)
        whole = sum(last - first for first, last in self._ranges)
        rows = min(whole, max(largest, min(largest * POOL_CHUNKS, POOL_BYTES // self._row_bytes)))
        return {name: torch.empty((rows, *field.shape[1:]), dtype=field.dtype) for name, field in self._fields.items()}

    def _read(self, chosen: Sequence[int], buffers: Mapping[str, Tensor]) -> int:
        """Read chunks, and return how many rows they are."""
        ranges = [self._ranges[number] for number in chosen]
        rows: int = sum(last - first for first, last in ranges)
        for name, field in self._fields.items():
            field.read_ranges(ranges, buffers[name][:rows].numpy())
        return rows
