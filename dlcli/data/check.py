"""Finding what is wrong or odd in a dataset before training does."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlcli.contracts.dataset import FieldRows
from dlcli.contracts.task import Task
from dlcli.data.finding import Finding, error
from dlcli.data.hdf5 import open_hdf5
from dlcli.data.inspection import inspect
from dlcli.data.load import load
from dlcli.data.mapping import FieldMapping
from dlcli.data.memory import stored_fields, too_large
from dlcli.data.shapes import looks_channels_first
from dlcli.data.splits import file_splits
from dlcli.data.stored import StoredField
from dlcli.data.stored_rows import stored_rows
from dlcli.data.target import Asked, TargetError, infer_task, one_class
from dlcli.data.values import value_findings

IMBALANCE = 10
"""Rows of the largest class over those of the smallest, from which on it is told."""
BLOCK_BYTES = 16 * 2**20
"""Looked at at once."""
_NAMED = 5
"""How many examples a message gives."""


def check(path: Path, *, fields: Mapping[str, FieldMapping] | None = None, task: Task | None = None) -> list[Finding]:
    """Find everything that training would refuse, and what is probably a mistake.

    Args:
        path: The file.
        fields: The recipe's `[data.fields]`, where there is a recipe.
        task: The recipe's `data.task`, likewise.

    Returns:
        All findings, errors first.

    Raises:
        DataError: It cannot be opened as HDF5, or its values cannot be read.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, fields or {})
        findings = list(inspection.findings)
        target, asked = inspection.target, None
        if target is not None:
            try:
                asked = infer_task(target, inspection.fields, task)
            except TargetError as cause:
                findings.append(error(target.where, str(cause)))
        splits, wrong_rows = file_splits(inspection)
        findings += wrong_rows
        findings += [
            Finding(
                "warning",
                field.where,
                f"rows of {' × '.join(map(str, field.row_shape))} look like channels × height × width, but images are "
                "height × width × channels; turn them, such as with dlcli data import --set channels_first=true",
            )
            for field in inspection.fields
            if field.kind == "image" and looks_channels_first(field.row_shape)
        ]
        on_disk = stored_fields(inspection.fields, None)
        if large := too_large([field for field in inspection.fields if field not in on_disk]):
            return [*findings, *large]
        # A target that fits no task has no layout to be read in.
        tensors: dict[str, FieldRows] = {
            field.name: stored_rows(path, field) if field in on_disk else load(field)
            for field in inspection.fields
            if field is not target or asked
        }
        loaded = [field for field in inspection.fields if field.name in tensors]
        findings += value_findings(loaded, tensors, asked, None)
        findings += [
            Finding("note", field.where, "it has no role and is not used; give it the attribute role to use it")
            for field in inspection.unused
        ]
        if not any(finding.level == "error" for finding in findings):
            inputs = [field for field in loaded if field.role in ("input", "condition")]
            training = splits.get("train", torch.arange(inspection.fields[0].rows))
            for field in inputs:
                findings += _constant(field, tensors[field.name], training)
            if target is not None and asked:
                findings += _classes(target, tensors[target.name][:], asked, splits)
            findings += _duplicates([tensors[field.name] for field in inputs if field.role == "input"], splits)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _blocks(fields: Sequence[FieldRows], rows: Tensor) -> Iterator[list[Tensor]]:
    """Yield some rows at a time, a tensor a field, in the order of the index."""
    width = sum(field.nbytes for field in fields) // max(1, len(fields[0]))
    for block in torch.split(rows, max(1, BLOCK_BYTES // max(1, width))):
        yield [field.index_select(0, block) for field in fields]


def _constant(field: StoredField, values: FieldRows, training: Tensor) -> list[Finding]:
    """Find columns without a value, and those that never change; single pixels of an image often do not, by nature."""
    if field.kind not in ("features", "sequence", "image") or not len(training):
        return []
    least = most = None
    for (rows,) in _blocks([values], training):
        flat = rows.flatten(0, 1) if field.kind == "sequence" else rows.flatten(1)
        low = high = flat
        if flat.is_floating_point():  # what is missing is no other value
            low, high = torch.where(flat.isnan(), torch.inf, flat), torch.where(flat.isnan(), -torch.inf, flat)
        least = low.amin(0) if least is None else torch.minimum(least, low.amin(0))
        most = high.amax(0) if most is None else torch.maximum(most, high.amax(0))
    if least is None or most is None:
        return []
    columns = len(least)

    def named(found: list[int]) -> str:
        names = [field.names[column] if field.names else str(column) for column in found[:_NAMED]]
        return ", ".join(names) + (", …" if len(found) > _NAMED else "")

    found = []
    if empty := (least > most).nonzero().flatten().tolist():
        message = f"{len(empty)} of {columns} columns have no value in any training row, so that none can be filled in"
        found.append(error(field.where, f"{message}: {named(empty)}; remove them"))
    constant = (least == most).nonzero().flatten().tolist() if len(training) > 1 else []
    if field.kind == "image" and 0 < len(constant) < columns:
        message = f"{len(constant)} of {columns} pixels are the same in all training rows"
        found.append(Finding("note", field.where, message))
    elif constant:
        message = f"{len(constant)} of {columns} columns are the same in all training rows and tell nothing"
        found.append(Finding("warning", field.where, f"{message}: {named(constant)}; remove them"))
    return found


def _classes(target: StoredField, rows: Tensor, asked: Asked, splits: Mapping[str, Tensor]) -> list[Finding]:
    """Find classes without training rows, missing from another split, or much rarer than others."""
    if asked.task is Task.REGRESSION:
        return []
    count = len(asked.classes) or int(rows.max()) + 1
    classes = asked.classes or tuple(map(str, range(count)))
    if asked.task is Task.MULTICLASS and count == 1:
        return [error(target.where, one_class(classes[0]))]

    def counts(split: Tensor) -> list[int]:
        part = rows.index_select(0, split)
        if asked.task is Task.MULTILABEL:
            return [int(number) for number in (part == 1).reshape(-1, count).sum(0)]
        return [int(number) for number in torch.bincount(part.flatten().to(torch.int64), minlength=count)]

    found = []
    for split, numbers in ((split, counts(part)) for split, part in splits.items()):
        missing = [name for name, number in zip(classes, numbers, strict=True) if not number]
        if missing:
            named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
            trained = split == "train"
            advice = (
                "it cannot be learnt: add rows, or remove it from `classes`" if trained else "it is not measured there"
            )
            found.append(
                Finding(
                    "warning" if trained else "note",
                    target.where,
                    f"{len(missing)} of {count} classes have no row in {split}: {named}; {advice}",
                )
            )
        present = [number for number in numbers if number]
        if split == "train" and present and max(present) >= IMBALANCE * min(present):
            most, least = numbers.index(max(present)), numbers.index(min(present))
            found.append(
                Finding(
                    "warning",
                    target.where,
                    f"classes are out of balance: {classes[most]} has {numbers[most]} training rows, {classes[least]} "
                    f"has {numbers[least]}; accuracy will say little: look at the metrics of each class",
                )
            )
    return found


def _digests(inputs: Sequence[FieldRows], rows: Tensor) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    """Return a number for each row that tells its inputs from others': 64 bits, so that many rows fit in memory."""
    found = bytearray()
    for block in _blocks(inputs, rows):
        columns = np.hstack([part.numpy().reshape(len(part), -1).view(np.uint8) for part in block])
        found += b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in columns)
    return np.frombuffer(found, np.uint64)


def _duplicates(inputs: Sequence[FieldRows], splits: Mapping[str, Tensor]) -> list[Finding]:
    """Find rows whose inputs are also in another split: what is measured on them is not new to the network."""
    digests = {split: _digests(inputs, rows) for split, rows in splits.items()} if inputs and len(splits) > 1 else {}
    found = []
    for other, split in combinations(digests, 2):
        values, first = np.unique(digests[other], return_index=True)
        places = np.searchsorted(values, digests[split]).clip(max=max(0, len(values) - 1))
        same = np.flatnonzero(values[places] == digests[split]) if len(values) else places[:0]
        if len(same):
            pairs = [f"{split} {number} = {other} {first[places[number]]}" for number in same[:_NAMED].tolist()]
            found.append(
                Finding(
                    "warning",
                    split,
                    f"{len(same)} rows have the same inputs as rows of {other}: {', '.join(pairs)}"
                    f"{', …' if len(same) > _NAMED else ''}; figures for {split} will be too good: remove them",
                )
            )
    return found
