"""The importer of others' HDF5 files, against what h5py wrote."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlcli import DataError, UsageError
from dlcli.builtin.importers.hdf5 import HDF5
from dlcli.experiment.import_data import import_data


def read(importer, path, rows=7):
    fields = importer.fields(path)
    chunks = list(importer.chunks(path, fields, rows))
    return fields, {field.name: np.concatenate([chunk[field.name] for chunk in chunks]) for field in fields}


@pytest.fixture
def theirs(tmp_path):
    """Images with channels first and names for labels, in groups called otherwise, one behind a soft link."""
    path = tmp_path / "theirs.h5"
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for group, rows in (("training", 12), ("testing", 5)):
            file[f"{group}/pictures"] = generator.integers(0, 256, (rows, 3, 8, 6)).astype("uint8")
            file[f"{group}/label"] = [["cat", "dog", "emu"][row % 3] for row in range(rows)]
            file[f"{group}/place"] = np.arange(rows) // 2
        file["train"] = h5py.SoftLink("/training")
    return path


def test_images_with_channels_first_and_splits_of_other_names(theirs, tmp_path):
    importer = HDF5(
        inputs=("pictures",), target="label", group="place", train="train", test="testing", channels_first=True
    )
    fields, values = read(importer, theirs)
    assert [(f.name, f.shape, f.kind, f.role, f.rows) for f in fields] == [
        ("x", (8, 6, 3), "image", "input", 17),
        ("y", (), None, "target", 17),
        ("group", (), None, "group", 17),
    ]
    with h5py.File(theirs) as file:
        pictures = np.concatenate([file["training/pictures"][:], file["testing/pictures"][:]])
        labels = [*file["training/label"].asstr()[:], *file["testing/label"].asstr()[:]]
    assert np.array_equal(values["x"], pictures.transpose(0, 2, 3, 1))
    assert values["y"].tolist() == labels
    assert {name: rows.tolist() for name, rows in importer.splits(theirs).items()} == {
        "train": list(range(12)),
        "test": list(range(12, 17)),
    }
    parameters = {"inputs": ["pictures"], "target": "label", "train": "training", "test": "testing"}
    import_data(theirs, tmp_path / "ours.h5", parameters={**parameters, "channels_first": True})
    with h5py.File(tmp_path / "ours.h5") as file:
        assert np.array_equal(file["test/x"][:], pictures[12:].transpose(0, 2, 3, 1))
        assert file["test/y"].attrs["classes"].tolist() == ["cat", "dog", "emu"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(st.sampled_from(["f4", ">f8", "u1", "i8", "?"]), array_shapes(min_dims=1, max_dims=4, max_side=5)),
    st.sampled_from(["rows_first", "rows_last", "reversed"]),
)
def test_any_array_comes_back_whatever_its_axes(tmp_path, values, axes):
    turn = {"rows_first": lambda v: v, "rows_last": lambda v: np.moveaxis(v, 0, -1), "reversed": np.transpose}[axes]
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["a/values"] = turn(values)
        file["a/target"] = np.arange(len(values))
    importer = HDF5(inputs=("a/values",), target="a/target", axes=axes)
    fields, found = read(importer, tmp_path / "any.h5", rows=2)
    assert fields[0].rows == len(values)
    np.testing.assert_array_equal(found["x"], values.astype(values.dtype.newbyteorder("=")))


def test_two_datasets_leave_no_doubt_and_three_do(tmp_path):
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["features"], file["outcome"] = np.zeros((4, 3)), np.arange(4)
    assert [(f.name, f.where, f.role) for f in HDF5().fields(path)] == [
        ("x", "features", "input"),
        ("y", "outcome", "target"),
    ]
    with h5py.File(path, "a") as file:
        file["age"] = np.arange(4.0)
    with pytest.raises(UsageError, match=r"which datasets .* rows: age \(\), features \(3,\), outcome \(\)"):
        HDF5().fields(path)
    fields = HDF5(inputs=("features", "age"), target="outcome").fields(path)
    assert [field.name for field in fields] == ["features", "age", "y"]


def broken(file):
    file["fine"] = np.zeros((3, 2))
    file["objects"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])
    file["single"] = 3.0
    file["away"] = h5py.ExternalLink("other.h5", "/x")
    file["round"], file["and_round"] = h5py.SoftLink("/and_round"), h5py.SoftLink("/round")
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (3, 2))
    file.create_virtual_dataset("virtual", layout)
    file.create_dataset("ragged", (3,), h5py.vlen_dtype("f4"))
    file["texts"] = np.array([b"\xff", b"a", b"b"], dtype="S1")
    file["longer"] = np.zeros(4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"inputs": ("objects",)}, r"objects holds \[\('a'.*expected numbers or texts"),
        ({"inputs": ("single",)}, "single is a single value; rows are wanted"),
        ({"inputs": ("away",)}, "away is an external link to other.h5:/x"),
        ({"inputs": ("round",)}, "the soft links round → and_round → round go in a circle"),
        ({"inputs": ("virtual",)}, "virtual dataset made of another file, elsewhere.h5"),
        ({"inputs": ("ragged",)}, "ragged holds object, expected numbers or texts"),
        ({"inputs": ("nothing",)}, "has no dataset /nothing; there are .*fine"),
        ({"inputs": ("texts",)}, "texts, rows 0 to 7: a text is not UTF-8"),
        ({"inputs": ("fine",), "target": "longer"}, "fields of different numbers of rows: x 3, y 4"),
        ({"val": "fine"}, "--set train=GROUP says where the training rows are"),
        ({"inputs": ("fine", "a/fine")}, "two datasets would be called 'fine'"),
    ],
)
def test_what_is_refused(tmp_path, parameters, message):
    path = tmp_path / "broken.h5"
    with h5py.File(path, "w") as file:
        broken(file)
    with pytest.raises((DataError, UsageError), match=message):
        read(HDF5(**parameters), path)


def test_splits_that_differ(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a/x"], file["b/x"] = np.zeros((3, 2)), np.zeros((3, 4))
    with pytest.raises(DataError, match=r"rows of /b/x are \(4,\) float64, those of /a/x \(2,\) float64"):
        HDF5(inputs=("x",), train="a", test="b").fields(path)


def test_a_file_that_is_cut(tmp_path):
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = np.random.default_rng(0).normal(size=(3000, 9)), np.arange(3000)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match="is truncated: its end is missing"):
        HDF5().fields(path)
