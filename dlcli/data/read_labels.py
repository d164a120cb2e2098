"""Reading of a dataset what folds are made by: its target and its groups."""

from pathlib import Path

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.finding import refuse
from dlcli.data.fingerprint import fingerprint
from dlcli.data.hdf5 import open_hdf5
from dlcli.data.inspection import inspect
from dlcli.data.load import load
from dlcli.data.splits import file_splits
from dlcli.data.target import shape_target, task_of
from dlcli.data.values import value_findings


def read_labels(path: Path, *, task: Task | None = None) -> Dataset:
    """Read the target and the groups of a dataset; inputs are not looked at.

    Args:
        path: The HDF5 file.
        task: What `data.task` would say; None to infer it from the target.

    Returns:
        All rows of all splits that the file has, without inputs.

    Raises:
        DataError: The file cannot be read, or the target or the groups are wrong.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, {})
        refuse(path, inspection.findings)
        target = inspection.by_role("target")[0]
        asked = task_of(path, target, inspection.fields, task)
        splits, findings = file_splits(inspection)
        refuse(path, findings)
        read = [target, *inspection.by_role("group")]
        tensors = {field.name: load(field) for field in read}
        refuse(path, value_findings(read, tensors, asked, None))
        fields: dict[str, Field] = {field.name: field.as_field() for field in read}
        fields[target.name], tensors[target.name] = shape_target(target, tensors[target.name], asked)
    return Dataset(fields, tensors, splits, asked.task, asked.per_position, fingerprint(path))
