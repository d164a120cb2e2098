"""The importer of NumPy's archives, against numpy's own reader, and on files that want to do harm."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from dlcli import DataError, UsageError
from dlcli.builtin.importers import array_archive
from dlcli.builtin.importers.npy import NPY
from dlcli.builtin.importers.npz import NPZ


def chunks_of(path, names, rows):
    fields = {field.name: field for field in NPZ().fields(path)}
    return NPZ().chunks(path, [fields[name] for name in names], rows)


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return {
        "x": generator.normal(size=(1000, 3)).astype("float32"),
        "big": generator.normal(size=(1000, 2, 2)).astype(">f8"),
        "word": np.array([f"wörd {i}" for i in range(1000)]),
        "bytes": np.array([f"b{i}" for i in range(1000)], dtype="S5"),
        "alone": np.array(3),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_blocks_are_what_numpy_reads(tmp_path, arrays, save):
    path = tmp_path / "a.npz"
    save(path, **arrays)
    fields = {field.name: field for field in NPZ().fields(path)}
    assert [*fields] == ["x", "big", "word", "bytes"]  # what has no rows is no field
    assert [(f.shape, f.dtype, f.rows) for f in fields.values()] == [
        ((3,), "float32", 1000),
        ((2, 2), "float64", 1000),
        ((), "str", 1000),
        ((), "str", 1000),
    ]
    names = ["word", "x", "big", "bytes"]
    chunks = list(chunks_of(path, names, 300))
    assert [len(chunk["x"]) for chunk in chunks] == [300, 300, 300, 100]
    for name in names:
        found = np.concatenate([chunk[name] for chunk in chunks])
        np.testing.assert_array_equal(found, arrays[name].astype(str) if name == "bytes" else arrays[name])
        assert all(chunk[name].flags.writeable for chunk in chunks)


def test_a_long_archive_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "long.npz"
    np.savez_compressed(path, x=np.zeros((400_000, 32), "float32"))  # 51 MB
    tracemalloc.start()
    assert sum(len(chunk["x"]) for chunk in chunks_of(path, ["x"], 4096)) == 400_000
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def header(shape, descr="<f4", fortran=False):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return stream.getvalue()


HOSTILE = {
    "no zip": (lambda p: p.write_bytes(b"PK\3\4 and so on"), "cannot be read as an NPZ archive: File is not a zip"),
    "no arrays": (lambda p: zipfile.ZipFile(p, "w").close(), r"holds no arrays \(0 files"),
    "huge": (lambda p: archive(p, x=header((2**60, 64))), r"takes 295147905179352825856 bytes, but 0 are there"),
    "negative": (lambda p: archive(p, x=header((-3, -1)) + b"\0" * 12), r"damaged: its shape is \(-3, -1\)"),
    "short": (lambda p: archive(p, x=header((3, 2)) + b"\0" * 20), "takes 24 bytes, but 20 are there"),
    "no header": (lambda p: archive(p, x=b"\x93NUMPY\1\0"), "x.npy is damaged: EOF"),
    "long header": (lambda p: archive(p, x=b"\x93NUMPY\2\0" + (2**20).to_bytes(4, "little") + b" " * 2**20), "Header"),
    "program": (lambda p: archive(p, x=header((1,), "__import__('os')")), "x.npy is damaged: "),
    "version 9": (lambda p: archive(p, x=b"\x93NUMPY\x09\0" + b" " * 90), "of the format 9.0; 1.0 and 2.0"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_before_any_row_is_read(tmp_path, case):
    write, message = HOSTILE[case]
    write(tmp_path / "h.npz")
    with pytest.raises(DataError, match=message):
        NPZ().fields(tmp_path / "h.npz")


def test_the_same_array_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as file:
        file.writestr("x.npy", header((0,)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("x.npy", header((0,)))
    with pytest.raises(DataError, match=r"holds x\.npy more than once"):
        NPZ().fields(tmp_path / "h.npz")


def test_what_cannot_be_streamed_is_refused_where_it_is_asked_for(tmp_path, arrays):
    path = tmp_path / "a.npz"
    odd = {"objects": np.array([print, None], dtype=object)}
    np.savez(path, x=arrays["x"], **odd, nonsense=np.array([b"\xff\xfe"]))
    assert sum(len(chunk["x"]) for chunk in chunks_of(path, ["x"], 64)) == 1000  # nobody asked for the others
    for name, message in (
        ("objects", "holds Python objects, which cannot be read without running code"),
        ("nonsense", "texts that are not UTF-8"),
    ):
        with pytest.raises(DataError, match=message):
            list(chunks_of(path, [name], 64))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_in_fortrans_order_are_turned(tmp_path, monkeypatch, save):
    values = np.random.default_rng(0).normal(size=(50, 3, 2)).astype("<f4")
    save(tmp_path / "a.npz", x=np.asfortranarray(values), y=np.arange(50))
    found = np.concatenate([chunk["x"] for chunk in chunks_of(tmp_path / "a.npz", ["x", "y"], 7)])
    np.testing.assert_array_equal(found, values)
    monkeypatch.setattr(array_archive, "_TURNED_BYTES", 100)
    with pytest.raises(DataError, match=r"Fortran's order.*too large to be turned.*ascontiguousarray"):
        list(chunks_of(tmp_path / "a.npz", ["x"], 7))


def test_damage_and_cuts_are_told(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3000.0))
    sound = path.read_bytes()
    path.write_bytes(sound[:1000] + bytes([sound[1000] ^ 1]) + sound[1001:])
    with pytest.raises(DataError, match="Bad CRC-32"):
        list(chunks_of(path, ["x"], 64))
    # A size in the directory that is not there: twice as many rows are claimed, in both places.
    claimed = bytearray(archive(path, x=header((6000,), "<f8") + np.arange(3000.0).tobytes()).read_bytes())
    size = (48000 + len(header((6000,), "<f8"))).to_bytes(4, "little")
    true = (24000 + len(header((6000,), "<f8"))).to_bytes(4, "little")
    path.write_bytes(bytes(claimed).replace(true, size))
    with pytest.raises(DataError, match="cannot be read as an NPZ archive|is cut: "):
        list(chunks_of(path, ["x"], 64))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*none\.npz"):
        NPZ().fields(tmp_path / "none.npz")


def test_arrays_called_after_splits_become_fields_and_splits(tmp_path):
    x, y = np.arange(36, dtype="f4").reshape(12, 3), np.arange(12) % 2
    np.savez(tmp_path / "a.npz", x_train=x[:7], y_train=y[:7], x_test=x[7:], y_test=y[7:], year=np.array(2026))
    importer = NPZ()
    fields = importer.fields(tmp_path / "a.npz")
    assert [(field.name, field.where, field.rows) for field in fields] == [
        ("x", "x_train, x_test", 12),
        ("y", "y_train, y_test", 12),
    ]
    chunks = list(importer.chunks(tmp_path / "a.npz", fields, 4))
    np.testing.assert_array_equal(np.concatenate([chunk["x"] for chunk in chunks]), x)
    np.testing.assert_array_equal(np.concatenate([chunk["y"] for chunk in chunks]), y)
    splits = {name: rows.tolist() for name, rows in importer.splits(tmp_path / "a.npz").items()}
    assert splits == {"train": [*range(7)], "test": [*range(7, 12)]}
    assert importer.notes(tmp_path / "a.npz") == ("left out, since they hold a single value: year",)

    np.savez(tmp_path / "b.npz", train_images=x, val_images=x[:, :2])
    with pytest.raises(DataError, match=r"train_images float32 \(3,\), val_images float32 \(2,\)"):
        importer.fields(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz", train_images=x, train_labels=y[1:], test_images=x, test_labels=y)
    with pytest.raises(DataError, match="train_images 12, .*train_labels 11"):
        importer.fields(tmp_path / "b.npz")
    np.savez(tmp_path / "d.npz", x_train=x, x_dev=x[:5])
    assert [*importer.splits(tmp_path / "d.npz")] == ["train", "val"]
    np.savez(tmp_path / "d.npz", x_train=x, x_dev=x[:5], x_val=x[5:])  # neither may stand for the other
    assert [field.name for field in importer.fields(tmp_path / "d.npz")] == ["x_train", "x_dev", "x_val"]
    np.savez(tmp_path / "c.npz", x=x, x_test=x)  # not all are called after splits, so none is
    assert [field.name for field in importer.fields(tmp_path / "c.npz")] == ["x", "x_test"]
    assert importer.splits(tmp_path / "c.npz") == {}


def test_images_with_their_channels_first(tmp_path):
    images = np.arange(2 * 3 * 5 * 6, dtype="u1").reshape(2, 3, 5, 6)
    np.savez(tmp_path / "a.npz", x=images, y=np.array([0, 1]))
    importer = NPZ(channels_first=True)
    fields = importer.fields(tmp_path / "a.npz")
    assert fields[0].shape == (5, 6, 3)
    (chunk,) = importer.chunks(tmp_path / "a.npz", fields, 9)
    np.testing.assert_array_equal(chunk["x"], images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "x.npy", images)
    importer = NPY(channels_first=True)
    (chunk,) = importer.chunks(tmp_path / "x.npy", importer.fields(tmp_path / "x.npy"), 9)
    np.testing.assert_array_equal(chunk["x"], images.transpose(0, 2, 3, 1))


def test_names_that_a_dataset_cannot_have_and_arrays_to_leave_out(tmp_path):
    values = np.arange(4.0)
    names = {"a/b": values, "..": values, "train": values, "odd": values, "y": np.array(1.0)}
    np.savez(tmp_path / "a.npz", **names)
    importer = NPZ(target="a/b", drop=("odd",))
    fields = importer.fields(tmp_path / "a.npz")
    assert [(field.name, field.role) for field in fields] == [("a_b", "target"), (".._", None), ("train_", None)]
    np.testing.assert_array_equal(next(importer.chunks(tmp_path / "a.npz", fields, 9))["a_b"], values)
    for wrong, message in (
        ({"target": "b"}, "there is no array 'b'; arrays of one value a row are a/b"),
        ({}, "'y' holds a single value"),
        ({"drop": ("b",)}, "has no array 'b'"),
    ):
        with pytest.raises(UsageError, match=message):
            NPZ(**wrong).fields(tmp_path / "a.npz")
