"""Repacked files hold the same, in chunks of whole rows; what cannot be repacked leaves nothing behind."""

import errno
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.errors import DataError, StorageError, UsageError
from dlcli.experiment.prediction.patient_file import PatientFile
from dlcli.experiment.repack import repack, same_values

EQUAL = ("alike", "unwritten")
"""Rows of lists that are of one length, which h5py would take for matrices."""

RANDOM = np.random.default_rng(0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.h5"
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["source"] = "a shelf"
        for split, rows in (("val", 300), ("train", 2000)):
            x = RANDOM.normal(size=(rows, 64)).astype("float32")
            x[0, 0] = np.nan
            file.create_dataset(f"{split}/x", data=x, chunks=(rows, 1), compression="gzip", maxshape=(None, 64))
            file[f"{split}/x"].attrs["names"] = [f"column {number}" for number in range(64)]
            file[f"{split}/x"].attrs["nothing"] = h5py.Empty("f4")
            labels = np.array(["cat", "kiwi", "mäuse"][: 3 if split == "train" else 2], object)
            file.create_dataset(f"{split}/y", data=RANDOM.choice(labels, rows), dtype=h5py.string_dtype())
            file[f"{split}/n"] = np.arange(rows) % 200
            file.create_dataset(f"{split}/flat", data=np.zeros((rows, 500), "uint8"), chunks=True, compression="lzf")
        file["pairs"] = np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", ">f8")])
        file["one"], file["none"] = 7.5, h5py.Empty("i8")
        file.create_dataset("empty", (0, 3), "f4", maxshape=(None, 3))
        ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
        ragged[0], ragged[1] = [1, 2], [3]
        alike = file.create_dataset("alike", (3,), h5py.vlen_dtype("f4"))
        alike[0], alike[1], alike[2] = [1, 2], [3, 4], [5, 6]
        file.create_dataset("unwritten", (4,), h5py.vlen_dtype("f4"))
        file["soft"], file["hard"] = h5py.SoftLink("/train/n"), file["train/n"]
    return path


def test_everything_is_the_same_but_the_chunks(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    before = source.read_bytes()
    found = repack(source, tmp_path / "out.h5", chunk_mb=0.1, progress=lambda *done: told.append(done))
    assert source.read_bytes() == before
    with h5py.File(source) as old, h5py.File(tmp_path / "out.h5") as new:
        assert (
            list(new)
            == list(old)
            == ["val", "train", "pairs", "one", "none", "empty", "ragged", *EQUAL, "soft", "hard"]
        )
        paths: list[str] = []
        old.visit(paths.append)
        for path in paths:
            assert set(old[path].attrs) == set(new[path].attrs)
            if isinstance(old[path], h5py.Dataset):
                assert (old[path].shape, old[path].dtype, old[path].maxshape) == (
                    new[path].shape,
                    new[path].dtype,
                    new[path].maxshape,
                )
        for path in ("val/x", "train/x", "train/n", "train/flat", "pairs", "one"):
            np.testing.assert_array_equal(old[path][()], new[path][()])
        assert new["train/y"].asstr()[...].tolist() == old["train/y"].asstr()[...].tolist()
        assert [row.tolist() for row in new["ragged"]] == [[1, 2], [3]]
        assert [row.tolist() for row in new["alike"]] == [[1, 2], [3, 4], [5, 6]]
        assert [row.tolist() for row in new["unwritten"]] == [[]] * 4
        assert new["none"].shape is None
        assert new["train/x"].attrs["names"].tolist() == old["train/x"].attrs["names"].tolist()
        assert new["train/x"].attrs["nothing"] == h5py.Empty("f4")
        assert new.attrs["source"] == "a shelf"
        assert new.get("soft", getlink=True).path == "/train/n"
        assert new["hard"].id == new["train/n"].id
        assert (new["train/x"].chunks, new["train/x"].compression) == ((390, 64), None)
        assert (new["train/flat"].chunks, new["train/flat"].compression) == ((200, 500), "gzip")
    # Noise is not compressed any more, nor is what was not.
    assert (found.codecs["train/x"], found.codecs["train/n"]) == ("none", "none")
    assert (found.largest, set(found.speeds)) == ("train/flat", {"in order", "shuffled"})
    assert told[-1] == (2 * (4 * 2300 + 11), 2 * (4 * 2300 + 11))


def test_types_and_codecs(source: Path, tmp_path: Path) -> None:
    repack(source, tmp_path / "out.h5", codec="lzf", dtypes=["n=uint8", "y=classes", "val/x=float64"])
    with h5py.File(source) as old, h5py.File(tmp_path / "out.h5") as new:
        assert (new["train/x"].dtype, new["val/x"].dtype) == ("float32", "float64")
        assert new["train/x"].compression == new["train/n"].compression == "lzf"
        for split in ("train", "val"):
            assert new[f"{split}/n"].dtype == new[f"{split}/y"].dtype == "uint8"
            np.testing.assert_array_equal(new[f"{split}/n"][...], old[f"{split}/n"][...])
            assert new[f"{split}/y"].attrs["classes"].tolist() == ["cat", "kiwi", "mäuse"]
            names = np.array(["cat", "kiwi", "mäuse"])[new[f"{split}/y"][...]]
            assert names.tolist() == old[f"{split}/y"].asstr()[...].tolist()


def test_attributes_too_large_for_the_oldest_format(tmp_path: Path) -> None:
    names = [f"class number {number}" for number in range(5000)]
    with h5py.File(tmp_path / "d.h5", "w", libver="latest") as file:
        file["x"] = np.array([True, False])
        file["x"].attrs["classes"] = names
        file.create_dataset("y", data=np.array(names, object), dtype=h5py.string_dtype())
    repack(tmp_path / "d.h5", tmp_path / "out.h5", dtypes=["y=classes"])
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["x"].attrs["classes"].tolist() == names
        assert file["y"].attrs["classes"][file["y"][...]].tolist() == names


def _external(file: h5py.File) -> None:
    file["out"] = h5py.ExternalLink("other.h5", "/x")


def _circle(file: h5py.File) -> None:
    file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("v", layout)


def _outside(file: h5py.File) -> None:
    file.create_dataset("e", (3,), "f4", external=[("/etc/hostname", 0, 12)])


def _references(file: h5py.File) -> None:
    file.attrs.create("scales", [file["/"].ref], dtype=h5py.ref_dtype)


def _named_type(file: h5py.File) -> None:
    file["kind"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_external, "out is an external link to other.h5:/x"),
        (_circle, "go in a circle"),
        (_virtual, "v: it is a virtual dataset made of another file, other.h5:x"),
        (_outside, "e: its values are stored in another file, /etc/hostname"),
        (_references, "the file, attribute 'scales' holds references"),
        (_named_type, "kind is a named type"),
    ],
)
def test_what_leads_out_or_cannot_be_copied_is_refused(tmp_path: Path, spoil, match: str) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = np.zeros(3)
        spoil(file)
    with pytest.raises(DataError, match=match):
        repack(tmp_path / "d.h5", tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["d.h5"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"codec": "zip"}, UsageError, "--codec zip is unknown; allowed are gzip, lzf, none"),
        ({"chunk_mb": 0.0}, UsageError, "--chunk-mb is a number from 0.001 to 1000; got 0"),
        ({"dtypes": ["z=uint8"]}, UsageError, "--dtype z=…: there is no such dataset of rows; there are: val/flat"),
        ({"dtypes": ["n=int8"]}, DataError, "val/n: 128 in row 128 and 71 more cannot become int8"),
        ({"dtypes": ["n=classes"]}, DataError, "n holds int64; only texts become classes"),
    ],
)
def test_what_cannot_be_asked_for(source: Path, tmp_path: Path, options, error, match: str) -> None:
    with pytest.raises(error, match=match):
        repack(source, tmp_path / "out.h5", **options)
    assert list(tmp_path.iterdir()) == [source]


def test_only_where_a_dataset_can_be(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a dataset ends with \.h5 or \.hdf5; got -o .*out\.txt"):
        repack(source, tmp_path / "out.txt")
    with pytest.raises(UsageError, match=r"there is no folder .*none; make the folder first"):
        repack(source, tmp_path / "none" / "out.h5")


def test_never_over_its_source_also_by_another_name(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(source)
    with pytest.raises(UsageError, match="is what is read, so it is not written over"):
        repack(source, tmp_path / "link.h5")


def test_a_full_disk_and_a_copy_that_differs(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(PatientFile, "write", _full)
        with pytest.raises(StorageError, match="No space left on device"):
            repack(source, tmp_path / "out.h5")
    monkeypatch.setattr("dlcli.experiment.repack.same_values", lambda one, other: False)
    with pytest.raises(DataError, match="rows from 0 on differ in the copy, which was not kept"):
        repack(source, tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == [source]


def _full(self: PatientFile, data: object) -> int:
    self.failure = self.failure or OSError(errno.ENOSPC, "No space left on device")
    return len(memoryview(data).cast("B"))


def test_what_counts_as_the_same() -> None:
    assert same_values(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert not same_values(np.array([0.0]), np.array([-0.0]))
    assert not same_values(np.array([1]), np.array([1], "int32"))
    assert not same_values(np.array([b"a"], object), np.array([b"b"], object))
