"""`oof.h5`: what each fold's model says of the rows that it has never seen."""

from pathlib import Path

import h5py
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.task import probabilities


def write_out_of_fold(path: Path, dataset: Dataset, rows: Tensor, folds: Tensor | None, outputs: Tensor) -> None:
    """Write out-of-fold predictions, whole or not at all.

    The file has `rows` (place in the dataset's splits, laid end to end), `fold`, `outputs` (logits, or targets for
    regression), `probabilities` where the task has classes, and `target`, all of the same first length.

    Args:
        path: The file.
        dataset: The data.
        rows: The rows that were predicted, int64 (N,).
        folds: Fold of each row, int64 (N,); None where there are no folds: the file then has no `fold`.
        outputs: Outputs of the fold's model (N, …, O), of several a target their prediction.
    """
    task, target = dataset.task, dataset.target
    columns = {"rows": rows, "outputs": outputs, "target": dataset.tensors[target.name][rows]}
    if folds is not None:
        columns["fold"] = folds
    if task.classifies:
        columns["probabilities"] = probabilities(outputs, task)

    def fill(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            file.attrs["task"] = str(task)
            file.attrs["fingerprint"] = dataset.fingerprint
            for name, tensor in columns.items():
                file[name] = tensor.numpy()
            if target.classes:
                file["target"].attrs["classes"] = target.classes
            if target.names:
                file["target"].attrs["names"] = target.names

    atomic.write_file(path, fill)
