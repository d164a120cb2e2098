"""Rows of HDF5 files of every layout, read in blocks."""

import h5py
import numpy as np
import pytest

from dlcli.data.hdf5_rows import Hdf5Rows
from dlcli.data.mapping import FieldMapping
from dlcli.errors import DataError, UsageError


def read(rows, split="all", size=4, names=("x",)):
    """All blocks of a split as (split, row, value) and the sizes of the blocks."""
    found, sizes = [], []
    for part in rows.chosen(split):
        for block in rows.blocks(part, split, names, size):
            splits = [""] * len(block.rows) if block.splits is None else [rows.splits[i] for i in block.splits]
            found += zip(splits, block.rows.tolist(), block.arrays["x"].tolist(), strict=True)
            sizes.append(len(block.rows))
    return found, sizes


def test_split_groups_need_no_target(write):
    path = write({"train/x": np.arange(5), "test/x": np.arange(10, 13)})
    rows = Hdf5Rows(path, ["x"], {})
    assert read(rows)[0] == [("train", i, i) for i in range(5)] + [("test", i, 10 + i) for i in range(3)]
    assert read(rows, "test")[0] == [("test", i, 10 + i) for i in range(3)]
    assert (rows.count("all", ["x"]), rows.count("test", ["x"])) == (8, 3)
    with pytest.raises(UsageError, match="has no split 'val'; there are train, test, and all for every row"):
        rows.chosen("val")


def test_lists_of_rows_keep_the_order_of_the_file(write):
    content = {"x": np.arange(10) * 2, "splits/train": [7, 0, 3], "splits/test": [5, 1]}
    rows = Hdf5Rows(write(content), ["x"], {})
    assert read(rows, "train")[0] == [("train", 0, 0), ("train", 3, 6), ("train", 7, 14)]
    assert rows.count("train", ["x"]) == 3
    everything, sizes = read(rows)
    assert [split for split, _, _ in everything] == ["train", "test", "", "train", "", "test", "", "train", "", ""]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([0, 10], "splits/train: row 10 is outside 0 to 9"),
        ([0, -1], "splits/train: row -1 is outside"),
        ([1, 2], "splits/test: row 1 is in another split too"),
        ([0.5], "splits/train: row numbers are one integer each"),
    ],
)
def test_wrong_lists_of_rows_are_refused(write, train, message):
    path = write({"x": np.arange(10), "splits/train": train, "splits/test": [1]})
    with pytest.raises(DataError, match=message):
        Hdf5Rows(path, ["x"], {})


def test_whole_chunks_are_read_and_no_other_field(write, tmp_path):
    path = tmp_path / "chunked.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(1000), chunks=(64,), compression="gzip")
        file["y"] = h5py.ExternalLink("elsewhere.h5", "y")
    found, sizes = read(Hdf5Rows(path, ["x"], {}), size=100)
    assert [value for _, _, value in found] == list(range(1000))
    assert sizes == [128] * 7 + [104]
    with pytest.raises(UsageError, match="has no split 'test', nor any other; there is only all"):
        Hdf5Rows(path, ["x"], {}).chosen("test")
    with pytest.raises(DataError, match="external link to elsewhere"):
        Hdf5Rows(path, ["y"], {})


def test_texts_of_both_sorts_are_texts(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file["long"] = ["rot", "grün"]
        file["x"] = np.array([b"rot", "grün".encode()])
    rows = Hdf5Rows(path, ["x", "long"], {})
    assert [field.dtype for field in rows.parts[0].fields.values()] == ["str", "str"]
    (block,) = rows.blocks(rows.parts[0], "all", ["x", "long"], 9)
    assert block.arrays["x"].tolist() == block.arrays["long"].tolist() == ["rot", "grün"]


def test_the_recipes_paths_count_where_they_are_there(write):
    mappings = {"x": FieldMapping(path="{split}_in", classes=("a", "b"))}
    path = write({"test_in": [1, 0], "x": [9]})
    assert read(Hdf5Rows(path, ["x"], mappings))[0] == [("test", 0, 1), ("test", 1, 0)]
    assert Hdf5Rows(path, ["x"], mappings).parts[0].fields["x"].classes == ("a", "b")
    flat = Hdf5Rows(write({"x": [9]}, name="flat.h5", x={"classes": ["b", "a"]}), ["x"], mappings)
    assert read(flat)[0] == [("", 0, 9)]
    assert flat.parts[0].fields["x"].classes == ("b", "a")  # nothing that the recipe says is about this file


def test_attributes_that_contradict_the_recipe_are_refused(write):
    path = write({"x": [1]}, x={"classes": ["b", "a"]})
    with pytest.raises(DataError, match=r"its attribute 'classes' says b, a, but data\.fields\.x .* says a, b"):
        Hdf5Rows(path, ["x"], {"x": FieldMapping(classes=("a", "b"))})
