"""Finding what is wrong or odd in a dataset before training does."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.task import Task
from dlcli.data.finding import Finding, error
from dlcli.data.hdf5 import open_file
from dlcli.data.inspection import inspect
from dlcli.data.load import load
from dlcli.data.mapping import FieldMapping
from dlcli.data.memory import too_large
from dlcli.data.splits import file_splits
from dlcli.data.stored import StoredField
from dlcli.data.target import Asked, TargetError, infer_task
from dlcli.data.values import value_findings

IMBALANCE = 10
"""Rows of the largest class over those of the smallest, from which on it is told."""
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
    with open_file(path) as file:
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
        if large := too_large(inspection.fields):
            return [*findings, *large]
        # A target that fits no task has no layout to be read in.
        tensors = {field.name: load(field) for field in inspection.fields if field is not target or asked}
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
                findings += _constant(field, tensors[field.name].index_select(0, training))
            if target is not None and asked:
                findings += _classes(target, tensors[target.name], asked, splits)
            findings += _duplicates([tensors[field.name] for field in inputs if field.role == "input"], splits)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _constant(field: StoredField, rows: Tensor) -> list[Finding]:
    """Find columns that never change in the training rows; single pixels of an image often do not, by nature."""
    if field.kind not in ("features", "sequence", "image") or len(rows) < 2:
        return []
    flat = rows.flatten(0, 1) if field.kind == "sequence" else rows.flatten(1)
    least = most = flat
    if flat.is_floating_point():  # what is missing is no other value
        least, most = torch.where(flat.isnan(), torch.inf, flat), torch.where(flat.isnan(), -torch.inf, flat)
    constant = (least.amin(0) >= most.amax(0)).nonzero().flatten().tolist()
    if not constant:
        return []
    columns = flat.shape[1]
    if field.kind == "image" and len(constant) < columns:
        return [Finding("note", field.where, f"{len(constant)} of {columns} pixels are the same in all training rows")]
    names = [field.names[column] if field.names else str(column) for column in constant[:_NAMED]]
    more = ", …" if len(constant) > _NAMED else ""
    message = f"{len(constant)} of {columns} columns are the same in all training rows and tell nothing"
    return [Finding("warning", field.where, f"{message}: {', '.join(names)}{more}; remove them")]


def _classes(target: StoredField, rows: Tensor, asked: Asked, splits: Mapping[str, Tensor]) -> list[Finding]:
    """Find classes without training rows, missing from another split, or much rarer than others."""
    if asked.task is Task.REGRESSION:
        return []
    count = len(asked.classes) or int(rows.max()) + 1
    classes = asked.classes or tuple(map(str, range(count)))

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


def _duplicates(inputs: list[Tensor], splits: Mapping[str, Tensor]) -> list[Finding]:
    """Find rows whose inputs are also in another split: what is measured on them is not new to the network."""
    seen: dict[bytes, tuple[str, int]] = {}
    examples: dict[tuple[str, str], list[str]] = {}
    for split, rows in splits.items():
        own: dict[bytes, tuple[str, int]] = {}
        for number, row in enumerate(rows.tolist()):
            digest = hashlib.blake2b(b"".join(part[row].numpy().tobytes() for part in inputs), digest_size=16).digest()
            if digest in seen:
                first_split, first = seen[digest]
                examples.setdefault((first_split, split), []).append(f"{split} {number} = {first_split} {first}")
            else:
                own.setdefault(digest, (split, number))
        seen.update(own)
    return [
        Finding(
            "warning",
            split,
            f"{len(pairs)} rows have the same inputs as rows of {other}: {', '.join(pairs[:_NAMED])}"
            f"{', …' if len(pairs) > _NAMED else ''}; figures for {split} will be too good: remove them",
        )
        for (other, split), pairs in examples.items()
    ]
