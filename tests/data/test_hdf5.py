"""Files that are no datasets, and datasets that leave their file."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.data.read import read_dataset
from dlcli.errors import DataError

X = np.zeros((6, 2), "float32")
Y = np.arange(6, dtype="float32")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = X
        file["y"] = Y
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert raised.value.exit_code == 3
    return str(raised.value)


def test_missing_file_names_one_like_it(tmp_path: Path, other: Path) -> None:
    assert "there is no file" in refused(tmp_path / "othr.h5")
    assert "did you mean other.h5?" in refused(tmp_path / "othr.h5")
    assert "check data.path" in refused(tmp_path / "nowhere" / "digits.h5")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder; expected one HDF5 file" in refused(tmp_path)


def test_other_format(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    assert "is not an HDF5 file (8 bytes, no HDF5 signature)" in refused(path)
    path.write_text("")
    assert "is not an HDF5 file (0 bytes" in refused(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_truncated_file(other: Path, share: float) -> None:
    whole = other.read_bytes()
    other.write_bytes(whole[: int(share * len(whole))])
    assert "truncated: its end is missing" in refused(other)


def test_damaged_chunk(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", data=np.random.default_rng(0).normal(size=(100, 20)), compression="gzip")
        file["y"] = np.arange(100.0)
        place = dataset.id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(b"\0" * place.size)
    assert "cannot be read" in refused(path)
    assert "damaged, or was compressed with a filter that is not installed" in refused(path)


def test_file_is_closed_after_reading(other: Path) -> None:
    read_dataset(other)
    with h5py.File(other, "r+") as file:
        file["z"] = X


def test_external_link(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(other), "/x")
        file["y"] = Y
    assert "x is an external link to" in refused(path)
    assert "must be whole in one file: copy that data into it" in refused(path)


def test_external_group(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["train"] = h5py.ExternalLink(str(other), "/")
    assert "train is an external link" in refused(path)


def test_soft_link_to_an_external_link(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["hidden"] = h5py.ExternalLink(str(other), "/")
        file["x"] = h5py.SoftLink("/hidden/x")
        file["y"] = Y
    assert "hidden is an external link" in refused(path)


def test_soft_links_inside_the_file_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["raw/pixels"] = X
        file["raw/again"] = h5py.SoftLink("pixels")
        file["x"] = h5py.SoftLink("/raw/again")
        file["y"] = Y
    assert read_dataset(path).tensors["x"].shape == (6, 2)


def test_circle_of_soft_links(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.SoftLink("/z")
        file["z"] = h5py.SoftLink("/x")
        file["y"] = Y
    assert "the soft links x → z → x go in a circle" in refused(path)


def test_virtual_dataset_of_another_file(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "data.h5"
    layout = h5py.VirtualLayout(shape=(6, 2), dtype="float32")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=(6, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
        file["y"] = Y
    assert "it is a virtual dataset made of another file" in refused(path)


def test_virtual_dataset_of_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    layout = h5py.VirtualLayout(shape=(6, 2), dtype="float32")
    with h5py.File(path, "w") as file:
        file["raw/pixels"] = X + 3
        layout[:] = h5py.VirtualSource(file["raw/pixels"])
        file.create_virtual_dataset("x", layout)
        file["y"] = Y
    assert read_dataset(path).tensors["x"].unique().tolist() == [3]


def test_virtual_dataset_through_an_external_link(tmp_path: Path, other: Path) -> None:
    path = tmp_path / "data.h5"
    layout = h5py.VirtualLayout(shape=(6, 2), dtype="float32")
    layout[:] = h5py.VirtualSource(".", "hidden/x", shape=(6, 2))
    with h5py.File(path, "w") as file:
        file["hidden"] = h5py.ExternalLink(str(other), "/")
        file.create_virtual_dataset("x", layout)
        file["y"] = Y
    assert "hidden is an external link" in refused(path)


def test_virtual_dataset_of_nothing_and_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    nothing, itself = (h5py.VirtualLayout(shape=(6, 2), dtype="float32") for _ in range(2))
    nothing[:] = h5py.VirtualSource(".", "gone", shape=(6, 2))
    itself[:] = h5py.VirtualSource(".", "z", shape=(6, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", nothing)
        file.create_virtual_dataset("z", itself)
        file["y"] = Y
    assert "its source gone is not in the file" in refused(path)
    assert "it is a virtual dataset made of itself (/z → /z)" in refused(path)


def test_values_stored_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X, external=[(str(tmp_path / "x.raw"), 0, h5py.h5f.UNLIMITED)])
        file["y"] = Y
    assert "its values are stored in another file" in refused(path)


def test_unreadable_file(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", deny)
    assert "may not be read: Permission denied; change its permissions" in refused(other)


def test_file_that_will_not_open(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("unable to lock file")

    monkeypatch.setattr(h5py, "File", fail)
    assert "cannot be opened: unable to lock file; copy or download it again" in refused(other)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert re.search(r"x+… cannot be looked for: File name too long; check data.path", refused(tmp_path / ("x" * 9999)))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    assert "pipe.h5 is no regular file; expected one HDF5 file" in refused(tmp_path / "pipe.h5")
