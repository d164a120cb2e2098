"""An epoch of rows on disk: every row once, in an order of its own, from many chunks at a time."""

import threading

import h5py
import numpy as np
import pytest
import torch

from dlcli.data import stream
from dlcli.data.stored_rows import StoredPart, StoredRows
from dlcli.data.stream import ChunkStream
from dlcli.errors import DataError

ROWS, CHUNK = 4000, 20


@pytest.fixture(params=["gzip", None], ids=["gzip", "uncompressed"])
def rows(tmp_path, request):
    """Rows that hold their own number, sorted by class as a file may be."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        values = np.arange(ROWS, dtype="float32")[:, None].repeat(8, 1)
        file.create_dataset("x", data=values, chunks=(CHUNK, 8), compression=request.param)
    return StoredRows(tmp_path / "a.h5", [StoredPart("x", ROWS, CHUNK)], (8,), np.dtype("f4"), image=False)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Chunks as they are, and a pool of a hundred of them."""
    monkeypatch.setattr(StoredRows, "chunks", lambda self: [(i, i + CHUNK) for i in range(0, ROWS, CHUNK)])
    monkeypatch.setattr(stream, "POOL_BYTES", 100 * CHUNK * 32)


def epoch(source, wanted, seed=0, number=1):
    found = []
    for window in ChunkStream({"x": source}, wanted).epoch(seed, number):
        values = window.values["x"].index_select(0, window.places)
        assert torch.equal(values[:, 0].long(), window.rows)
        found.append(window.rows.clone())
    return torch.cat(found)


def test_every_row_comes_once_in_an_order_of_its_own(rows):
    wanted = torch.arange(ROWS)[::3]
    first, again = epoch(rows, wanted), epoch(rows, wanted)
    assert torch.equal(first.sort().values, wanted)
    assert torch.equal(first, again)
    for other in (epoch(rows, wanted, number=2), epoch(rows, wanted, seed=1)):
        assert torch.equal(other.sort().values, wanted)
        assert not torch.equal(other, first)


def test_batches_hold_rows_of_many_chunks(rows):
    order = epoch(rows, torch.arange(ROWS))
    full = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))

    def chunks_in_a_batch(rows_in_order):
        return np.mean([len((batch // CHUNK).unique()) for batch in rows_in_order.split(64) if len(batch) == 64])

    assert chunks_in_a_batch(order) >= 0.7 * chunks_in_a_batch(full)


def test_chunks_without_wanted_rows_are_not_read(rows, monkeypatch):
    read = []
    original = StoredRows.read_ranges
    monkeypatch.setattr(
        StoredRows, "read_ranges", lambda self, ranges, out: read.extend(ranges) or original(self, ranges, out)
    )
    epoch(rows, torch.tensor([5, 7, 45, 3999]))
    assert sorted(read) == [(0, 20), (40, 60), (3980, 4000)]


def test_stopping_in_the_middle_ends_the_reader(rows):
    windows = ChunkStream({"x": rows}, torch.arange(ROWS)).epoch(0, 1)
    next(windows)
    windows.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_what_goes_wrong_while_reading_ahead_is_told(rows, monkeypatch):
    def fail(self, ranges, out):
        raise DataError("the disk is gone")

    monkeypatch.setattr(StoredRows, "read_ranges", fail)
    with pytest.raises(DataError, match="the disk is gone"):
        epoch(rows, torch.arange(ROWS))
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_the_system_is_asked_ahead_where_reading_is_slow(rows, monkeypatch):
    asked = []
    original = StoredRows.expect
    monkeypatch.setattr(StoredRows, "expect", lambda self, ranges: asked.append(ranges) or original(self, ranges))
    epoch(rows, torch.arange(ROWS))
    monkeypatch.setattr(stream, "CACHED_BYTES_A_SECOND", 1e15)
    epoch(rows, torch.arange(ROWS))
    windows = [chunks for chunks, *_ in ChunkStream({"x": rows}, torch.arange(ROWS)).windows(0, 1)]
    late = [[(chunk * CHUNK, chunk * CHUNK + CHUNK) for chunk in chunks] for chunks in windows[2:]]
    assert asked[-len(late) :] == (late if rows.in_pieces else [])
