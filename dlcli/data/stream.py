"""One epoch of rows that stay on disk: whole chunks in shuffled order into a bounded pool, read ahead."""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.randomness import stream as random_stream
from dlcli.data.stored_rows import StoredRows

POOL_BYTES = 96 * 2**20
"""Rows from which batches are drawn; as much again is read ahead."""


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
        self._chunks = [
            (int(bounds[i]), int(bounds[i + 1]), int(edges[i]), int(edges[i + 1]))
            for i in range(len(bounds) - 1)
            if edges[i] < edges[i + 1]
        ]

    @property
    def rows(self) -> int:
        """How many rows an epoch has."""
        return len(self.wanted)

    def windows(self, seed: int, epoch: int) -> list[tuple[list[int], Tensor, Tensor]]:
        """Return, for each window in turn, its chunks, and its rows in order with their places in what is read.

        Args:
            seed: Decides the order.
            epoch: Number of the epoch, from 1; with the arguments before it, nothing else does.

        Returns:
            Numbers of chunks; rows, int64 (W,); places, int64 (W,). Every row comes once in an epoch.
        """
        generator = random_stream(seed, "order", epoch)
        order = torch.randperm(len(self._chunks), generator=generator).tolist()
        found = []
        chosen: list[int] = []
        held = 0
        for number in order:
            first, last, *_ = self._chunks[number]
            if chosen and (held + last - first) * self._row_bytes > POOL_BYTES:
                found.append(self._shuffled(chosen, generator))
                chosen, held = [], 0
            chosen.append(number)
            held += last - first
        found.append(self._shuffled(chosen, generator))
        return found

    def _shuffled(self, chosen: Sequence[int], generator: torch.Generator) -> tuple[list[int], Tensor, Tensor]:
        rows, places, offset = [], [], 0
        for number in chosen:
            first, last, begin, end = self._chunks[number]
            wanted = self.wanted[begin:end]
            rows.append(wanted)
            places.append(wanted - first + offset)
            offset += last - first
        mixed = torch.randperm(sum(map(len, rows)), generator=generator)
        return list(chosen), torch.cat(rows)[mixed], torch.cat(places)[mixed]

    def epoch(self, seed: int, epoch: int) -> Iterator[Window]:
        """Yield the windows of an epoch; the next one is read while one is used.

        Args:
            seed: Decides the order.
            epoch: Number of the epoch, from 1.

        Yields:
            Window: A window.

        Raises:
            DataError: The file is not there any more, or is damaged.
        """
        planned = self.windows(seed, epoch)
        ahead: queue.Queue[Window | BaseException | None] = queue.Queue(maxsize=1)
        # One window in use, one read ahead; their memory is used again, since fresh memory costs more than to fill it.
        size = max(self._rows_of(chosen) for chosen, *_ in planned)
        free: queue.Queue[dict[str, Tensor] | None] = queue.Queue()
        for _ in range(min(2, len(planned))):
            free.put(self._buffers(size))

        def read_ahead() -> None:
            try:
                for chosen, rows, places in planned:
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

    def _rows_of(self, chosen: Sequence[int]) -> int:
        return sum(self._chunks[number][1] - self._chunks[number][0] for number in chosen)

    def _buffers(self, rows: int) -> dict[str, Tensor]:
        return {name: torch.empty((rows, *field.shape[1:]), dtype=field.dtype) for name, field in self._fields.items()}

    def _read(self, chosen: Sequence[int], buffers: Mapping[str, Tensor]) -> None:
        for name, field in self._fields.items():
            values, offset = buffers[name].numpy(), 0
            for number in chosen:
                first, last, *_ = self._chunks[number]
                field.read(first, last, values[offset : offset + last - first])
                offset += last - first
