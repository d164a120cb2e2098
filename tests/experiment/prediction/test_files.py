"""Files of predictions on a disk that is full, and with more names than HDF5 likes."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.atomic import write_file
from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import StorageError
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.prediction.files import prediction_file
from dlcli.experiment.prediction.rows import PredictedRows


@pytest.fixture
def full_disk():
    """No file may grow beyond 200 kB."""
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX can")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".h5", ".csv", ".jsonl"])
def test_a_full_disk_is_told_and_nothing_is_left(folder, full_disk, suffix):
    target = Field("y", "target", "features", (3,), "float32")
    interface = Interface((), target, Task.REGRESSION, False, (), ("prediction",))
    rows = PredictedRows(np.arange(4000), None, np.ones((4000, 3), "float32"), None, None)

    def fill(path):
        with prediction_file(path, suffix, interface, (), 40_000, {}) as file:
            for _ in range(10):
                file.write(rows)

    with pytest.raises(StorageError, match=rf"cannot write out\{suffix}: File too large; free some space"):
        write_file(Path(f"out{suffix}"), fill)
    assert list(folder.iterdir()) == []


def test_thousands_of_class_names_fit(tmp_path):
    classes = tuple(f"the class of number {i}" for i in range(6000))
    target = Field("y", "target", "categorical", (), "int64", classes)
    interface = Interface((), target, Task.MULTICLASS, False, classes, ("logits", "probabilities"))
    rows = PredictedRows(np.arange(2), None, np.array([5999, 0]), np.full((2, 6000), 1 / 6000, "float32"), None)
    with prediction_file(tmp_path / "out.h5", ".h5", interface, (), 2, {"task": "multiclass"}) as file:
        file.write(rows)
    with h5py.File(Path(tmp_path, "out.h5")) as file:
        assert tuple(file["prediction"].attrs["classes"]) == classes
        assert tuple(file["probabilities"].attrs["names"]) == classes
