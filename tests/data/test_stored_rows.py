"""Rows that stay on disk, against the same rows in memory."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data import direct_reads
from dlcli.data.stored_rows import StoredPart, StoredRows
from dlcli.errors import DataError

SHAPES = {
    "contiguous": {},
    "chunks": {"chunks": (16, 3)},
    "gzip": {"chunks": (16, 3), "compression": "gzip"},
    "shuffled gzip": {"chunks": (16, 3), "compression": "gzip", "shuffle": True},
    "lzf, which HDF5 reads": {"chunks": (16, 3), "compression": "lzf"},
    "chunks across columns": {"chunks": (16, 2)},
    "checksums": {"chunks": (16, 3), "fletcher32": True},
}


def stored(path, values, image=False, **options):
    """Write rows as two parts, and return them as they lie on disk."""
    parts = {"train": values[:61], "val": values[61:]}
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, part in parts.items():
            file.create_dataset(f"{name}/x", data=part, **options)
        chunk = file["train/x"].chunks
    shape = values.shape[1:]
    if image:
        shape = (1, *shape) if len(shape) == 2 else (shape[2], *shape[:2])
    given = [StoredPart(f"{name}/x", len(part), chunk[0] if chunk else None) for name, part in parts.items()]
    return StoredRows(Path(path), given, shape, values.dtype.newbyteorder("="), image=image)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(100, 3)).astype("float32")


@pytest.mark.parametrize("layout", SHAPES)
def test_rows_are_those_in_memory(tmp_path, values, layout):
    rows = stored(tmp_path / "a.h5", values, **SHAPES[layout])
    expected = torch.from_numpy(values)
    assert (len(rows), rows.shape, rows.dtype, rows.nbytes) == (100, (100, 3), torch.float32, 1200)
    assert torch.equal(rows[:], expected)
    assert torch.equal(rows[55:70], expected[55:70])
    assert torch.equal(rows[-1], expected[-1])
    index = torch.tensor([99, 3, 3, 60, 61, 0])
    assert torch.equal(rows.index_select(0, index), expected[index])
    assert torch.equal(rows[index], expected[index])
    assert rows.index_select(0, index[:0]).shape == (0, 3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 99), max_size=40), st.sampled_from(["contiguous", "shuffled gzip"]))
def test_any_index_in_any_order(tmp_path_factory, index, layout):
    values = np.arange(300, dtype="int16").reshape(100, 3)
    rows = stored(tmp_path_factory.mktemp("rows") / "a.h5", values, **SHAPES[layout])
    chosen = torch.tensor(index, dtype=torch.int64)
    assert torch.equal(rows.index_select(0, chosen), torch.from_numpy(values)[chosen])


@pytest.mark.parametrize("shape", [(100, 4, 5), (100, 4, 5, 3)])
def test_images_come_channels_first(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 255, shape).astype("uint8")
    rows = stored(tmp_path / "a.h5", values, image=True, chunks=(16, *shape[1:]), compression="gzip")
    expected = values[:, None] if len(shape) == 3 else np.moveaxis(values, -1, 1)
    np.testing.assert_array_equal(rows[50:70], expected[50:70])


def test_numbers_of_another_byte_order_are_turned(tmp_path, values):
    rows = stored(tmp_path / "a.h5", values.astype(">f4"))
    np.testing.assert_array_equal(rows[:], values)


def test_chunks_cover_every_row_once(tmp_path, values):
    for layout in ("contiguous", "gzip"):
        ranges = stored(tmp_path / "a.h5", values, **SHAPES[layout]).chunks()
        assert [row for first, last in ranges for row in range(first, last)] == list(range(100))
        assert all(last <= 61 or first >= 61 for first, last in ranges)


def test_common_layouts_are_read_past_hdf5(tmp_path, values):
    for layout, direct in ((name, name in list(SHAPES)[:4]) for name in SHAPES):
        stored(tmp_path / "a.h5", values, **SHAPES[layout])
        with h5py.File(tmp_path / "a.h5") as file:
            found = direct_reads.direct_reads(tmp_path / "a.h5", file["train/x"])
        assert (found is not None) is direct, layout


def test_chunks_that_were_never_written_are_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (100, 3), "f4", chunks=(16, 3), fillvalue=7)[:20] = 1
    rows = StoredRows(tmp_path / "a.h5", [StoredPart("x", 100, 16)], (3,), np.dtype("f4"), image=False)
    assert rows[90:].unique().tolist() == [7]


def test_a_file_that_is_gone_or_damaged_is_told(tmp_path, values):
    path = tmp_path / "a.h5"
    rows = stored(path, values, **SHAPES["gzip"])
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*a\.h5 any more"):
        rows[:3]
    rows = stored(path, values, **SHAPES["gzip"])
    with h5py.File(path) as file:
        places = []
        file["train/x"].id.chunk_iter(lambda info: places.append(info.byte_offset))
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read at train/x, rows 0 to 16: chunk 0 is damaged"):
        rows[:16]
