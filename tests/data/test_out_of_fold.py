import h5py
import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from dlcli.data.out_of_fold import write_out_of_fold
from dlcli.data.read import read_dataset
from dlcli.errors import StorageError
from dlcli.testing import tiny_dataset


@pytest.mark.parametrize(("task", "width"), [("binary", 1), ("multiclass", 3), ("multilabel", 3), ("regression", 2)])
def test_what_is_in_the_file(tmp_path, task, width):
    dataset = read_dataset(tiny_dataset(tmp_path / "tiny.h5", task=task))
    rows, folds, outputs = torch.tensor([2, 5, 9]), torch.tensor([1, 0, 1]), torch.randn(3, width)
    write_out_of_fold(tmp_path / "oof.h5", dataset, rows, folds, outputs)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.h5", "oof.h5"}
    with h5py.File(tmp_path / "oof.h5") as file, h5py.File(tmp_path / "tiny.h5") as source:
        assert file.attrs["task"] == task
        assert file.attrs["fingerprint"] == dataset.fingerprint
        assert (file["rows"][:].tolist(), file["fold"][:].tolist()) == ([2, 5, 9], [1, 0, 1])
        np.testing.assert_array_equal(file["outputs"][:], outputs)
        np.testing.assert_array_equal(file["target"][:].reshape(3, -1), source["train/y"][:][rows].reshape(3, -1))
        assert ("probabilities" in file) is (task != "regression")
        if task == "regression":
            assert list(file["target"].attrs["names"]) == ["height", "width"]
        else:
            expected = softmax(outputs.numpy(), 1) if task == "multiclass" else expit(outputs.numpy())
            np.testing.assert_allclose(file["probabilities"][:], expected, rtol=1e-5)
            assert list(file["target"].attrs["classes"]) == list(dataset.target.classes)


def test_a_folder_that_is_not_there(tmp_path):
    dataset = read_dataset(tiny_dataset(tmp_path / "tiny.h5"))
    rows = torch.tensor([0])
    with pytest.raises(StorageError, match=r"cannot write .*nowhere/oof.h5"):
        write_out_of_fold(tmp_path / "nowhere/oof.h5", dataset, rows, rows, torch.zeros(1, 3))
