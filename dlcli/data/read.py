"""Reading an HDF5 file into a `Dataset`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.preprocessor import Preprocessor
from dlcli.contracts.task import Task
from dlcli.data.finding import refuse
from dlcli.data.fingerprint import fingerprint
from dlcli.data.hdf5 import open_hdf5
from dlcli.data.inspection import inspect
from dlcli.data.load import load
from dlcli.data.mapping import FieldMapping
from dlcli.data.memory import stored_fields, too_large
from dlcli.data.splits import complete_splits, file_splits
from dlcli.data.stored_rows import stored_rows
from dlcli.data.target import one_class, shape_target, task_of
from dlcli.data.values import value_findings
from dlcli.errors import DataError


def read_dataset(
    path: Path,
    *,
    fields: Mapping[str, FieldMapping] | None = None,
    task: Task | None = None,
    val: float | None = None,
    test: float | None = None,
    stratify: bool | None = None,
    seed: int = 0,
    complete: bool = True,
    preprocess: Sequence[Preprocessor] = (),
    memory: int | None = None,
) -> Dataset:
    """Read a dataset into memory, checked: shapes, types, links, NaN, labels; inputs that are too large stay on disk.

    Args:
        path: The HDF5 file; opened read-only and closed again.
        fields: The recipe's `[data.fields]`; it wins over the file's attributes.
        task: The recipe's `data.task`; None to infer it from the target.
        val: Share of the training rows that become `val`; None is 0.2 where the file has no `val`; 0 for none.
        test: Share of the training rows that become `test`; None for none.
        stratify: Whether splits are made by class; None: yes where there is one class a row, and no groups.
        seed: Decides which rows; with the rows themselves, nothing else does.
        complete: Whether missing splits are made. Without, the file is only to be evaluated: it needs no `train`, and
            all rows of a file without splits are `test`.
        preprocess: The recipe's `data.preprocess`: where it fills in missing values, NaN is none that is wrong.
        memory: Bytes that the data may take in memory; None for half of what is available now.

    Returns:
        All rows of all splits.

    Raises:
        DataError: The file cannot be read, or something in it is wrong; all that was found at one stage is told.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, fields or {})
        refuse(path, inspection.findings)
        target = inspection.by_role("target")[0]
        asked = task_of(path, target, inspection.fields, task)
        splits, findings = file_splits(inspection)
        on_disk = stored_fields(inspection.fields, memory)
        inside = [field for field in inspection.fields if field not in on_disk]
        refuse(path, findings or too_large(inside))
        tensors = {field.name: load(field) for field in inside}
        stored = {field.name: stored_rows(path, field) for field in on_disk}
        refuse(path, value_findings(inspection.fields, {**tensors, **stored}, asked, preprocess))
        settled: dict[str, Field] = {}
        for field in inspection.fields:
            if field is target:
                settled[field.name], tensors[field.name] = shape_target(field, tensors[field.name], asked)
            else:
                settled[field.name] = field.as_field()
        groups = next((tensors[field.name] for field in inspection.by_role("group")), None)
        classes = settled[target.name].classes
        if complete and asked.task is Task.MULTICLASS and len(classes) == 1:  # none is listed, and none there but 0
            raise DataError(f"{path}: {target.where}: {one_class(classes[0])}")
    if complete:
        splits = complete_splits(
            splits,
            val=val,
            test=test,
            stratify=stratify,
            seed=seed,
            target=tensors[target.name],
            classes=classes,
            task=asked.task,
            per_position=asked.per_position,
            groups=groups,
        )
    elif inspection.layout.form == "flat":
        splits = {"test": splits["train"]}
    return Dataset(settled, tensors, splits, asked.task, asked.per_position, fingerprint(path), stored)
