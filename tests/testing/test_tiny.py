import h5py
import numpy as np
import pytest

from dlcli import Task
from dlcli.testing import tiny_dataset

KINDS = {
    "features": ((5,), "float32"),
    "image": ((8, 8), "uint8"),
    "sequence": ((7, 4), "float32"),
    "tokens": ((7,), "int64"),
    "categorical": ((), "int64"),
}
TARGETS = {
    "binary": ((), "int64"),
    "multiclass": ((), "int64"),
    "multilabel": ((3,), "uint8"),
    "regression": ((2,), "float32"),
}


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_task_is_as_the_format_says(tmp_path, kind, task):
    path = tiny_dataset(tmp_path / "tiny.h5", kind, task, rows=50)
    with h5py.File(path) as file:
        assert list(file) == ["test", "train", "val"]
        assert [len(file[split]["x"]) for split in ("train", "val", "test")] == [30, 10, 10]
        for split in file.values():
            x, y = split["x"], split["y"]
            assert (x.shape[1:], str(x.dtype)) == KINDS[kind]
            assert (y.shape[1:], str(y.dtype)) == TARGETS[task]
            assert (x.attrs["role"], x.attrs["kind"], y.attrs["role"]) == ("input", kind, "target")
            assert ("classes" in y.attrs) == (task is not Task.REGRESSION)
            assert len({len(dataset) for dataset in split.values()}) == 1
            if task in (Task.BINARY, Task.MULTICLASS):
                assert set(np.unique(y[()])) == set(range(len(y.attrs["classes"])))
            if "length" in split:
                assert split["length"].attrs["of"] == "x"
                padding = np.arange(7) >= split["length"][()][:, None]
                assert not x[()][padding].any()
        assert ("length" in file["train"]) == (kind in ("sequence", "tokens"))


def test_the_same_seed_writes_the_same_values(tmp_path):
    def values(name, seed):
        with h5py.File(tiny_dataset(tmp_path / name, seed=seed)) as file:
            return file["train/x"][()]

    assert np.array_equal(values("a.h5", 1), values("b.h5", 1))
    assert not np.array_equal(values("a.h5", 1), values("c.h5", 2))


def test_the_target_can_be_learned(tmp_path):
    with h5py.File(tiny_dataset(tmp_path / "tiny.h5")) as file:
        x, y = file["train/x"][()].mean(1), file["train/y"][()]
    means = [x[y == number].mean() for number in range(3)]
    assert means[0] + 1 < means[1] < means[2] - 1


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="kind is 'video'; expected features, image"):
        tiny_dataset(tmp_path / "tiny.h5", "video")
    with pytest.raises(ValueError, match="'sorting' is not a valid Task"):
        tiny_dataset(tmp_path / "tiny.h5", task="sorting")
    with pytest.raises(ValueError, match="rows is 9; expected at least 10"):
        tiny_dataset(tmp_path / "tiny.h5", rows=9)
