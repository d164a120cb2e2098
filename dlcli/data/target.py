"""What the target asks for: the task, inferred from its type, shape and classes, and its tensor in the task's form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.stored import StoredField
from dlcli.errors import DataError


class TargetError(ValueError):
    """The target fits no task; the message is without the place."""


@dataclass(frozen=True)
class Asked:
    """What a target asks for.

    Args:
        task: The task.
        per_position: Whether there is an answer for each of T positions.
        classes: Names of the classes or labels; empty for regression, and where the values must tell.
    """

    task: Task
    per_position: bool
    classes: tuple[str, ...]


def infer_task(target: StoredField, others: Sequence[StoredField], task: Task | None) -> Asked:
    """Infer the task: floats are regression; integers classes, labels where there is a column for each class.

    Args:
        target: The target.
        others: The other fields; their steps T tell a target per position from a matrix of labels.
        task: The task that the recipe asks for; None to infer.

    Returns:
        Task, whether per position, and the classes.

    Raises:
        TargetError: It fits no task, or not the one asked for; says what to do.
    """
    shape = target.row_shape
    allowed = {"tokens": (1,), "sequence": (2,), "categorical": (0,), "features": (0, 1)}
    if target.kind is not None and len(shape) not in allowed.get(target.kind, ()):
        raise TargetError(
            f"a target is categorical (N), features (N or N×columns), tokens (N×T, one a position) or sequence "
            f"(N×T×columns); got kind {target.kind!r} and {len(shape) + 1} dimensions: correct its attribute kind"
        )
    per_position = _per_position(target, others)
    inner = shape[1:] if per_position else shape
    if len(inner) > 1:
        raise TargetError(
            f"a target is N or N×columns, or N×T×columns where an input has T steps; got {target}: reshape it, or give "
            "it the attribute kind, 'sequence' for one answer a position"
        )
    width = inner[0] if inner else None
    if task is None:
        task = _plain_task(target, width)
    if task is Task.REGRESSION:
        columns = 1 if width is None else width
        if target.names and len(target.names) != columns:
            raise TargetError(f"it has {columns} columns, but {len(target.names)} names; make them equal")
        return Asked(task, per_position, ())
    if not target.whole_numbers:
        raise TargetError(
            f"{task} needs integers, got {target.first.dtype}; store labels as integers with the attribute `classes`, "
            'or set data.task = "regression"'
        )
    return Asked(task, per_position, _classes(target, task, width))


def _per_position(target: StoredField, others: Sequence[StoredField]) -> bool:
    shape = target.row_shape
    if target.kind is not None:
        return target.kind in ("tokens", "sequence")
    steps = {other.row_shape[0] for other in others if other.kind in ("sequence", "tokens") and other.role == "input"}
    if len(shape) == 2:
        return shape[0] in steps
    return len(shape) == 1 and target.whole_numbers and shape[0] in steps and shape[0] not in (1, len(target.classes))


def _plain_task(target: StoredField, width: int | None) -> Task:
    if not target.whole_numbers:
        if target.classes:
            raise TargetError(
                f"it has classes, but holds {target.first.dtype}; store integers, or remove `classes` for regression"
            )
        return Task.REGRESSION
    count = len(target.classes)
    if not count:
        raise TargetError(
            "integers without the attribute `classes` could be classes or numbers: say so in the recipe with "
            'data.task = "multiclass" (or "binary", "multilabel", "regression"), or give it `classes`'
        )
    if width is not None and (width > 1 or count == 1):
        return Task.MULTILABEL
    return Task.BINARY if count == 2 else Task.MULTICLASS


def _classes(target: StoredField, task: Task, width: int | None) -> tuple[str, ...]:
    classes = target.classes
    if task is Task.MULTILABEL:
        if width is None:
            raise TargetError(
                "multilabel needs a 0/1 matrix N×labels, got one label a row; set data.task to multiclass"
            )
        if classes and len(classes) != width:
            raise TargetError(
                f"its {width} columns need a name each in `classes`, got {len(classes)}; per position, N×T, it needs "
                "kind = 'tokens'"
            )
        return classes or target.names or tuple(str(label) for label in range(width))
    if width not in (None, 1):
        raise TargetError(f"{task} has one label a row, got {width} columns; set data.task to multilabel, or keep one")
    if len(classes) == 1:
        raise TargetError(one_class(classes[0]))
    if classes and task is Task.BINARY and len(classes) != 2:
        raise TargetError(f"binary needs two classes, got {len(classes)}; set data.task to multiclass")
    return classes or (("0", "1") if task is Task.BINARY else ())


def one_class(name: str) -> str:
    """Say that a target has one class alone."""
    return f"only one class, {name!r}; a classification needs two at least: add rows of another, or take another target"


def task_of(path: Path, target: StoredField, fields: Sequence[StoredField], task: Task | None) -> Asked:
    """Return what the target of a file asks for, as `infer_task` does; errors name the file.

    Args:
        path: The file.
        target: Its target.
        fields: All its fields.
        task: What the recipe says; None to infer it.

    Returns:
        The task.

    Raises:
        DataError: The target fits no task, or not the one that is said.
    """
    try:
        return infer_task(target, fields, task)
    except TargetError as cause:
        raise DataError(f"{path}: {target.where}: {cause}") from cause


def shape_target(target: StoredField, rows: Tensor, asked: Asked) -> tuple[Field, Tensor]:
    """Give the target its task's form.

    Args:
        target: The target in the file.
        rows: Its values (N, …) as stored, checked by `values.label_findings`.
        asked: What `infer_task` returned.

    Returns:
        The field, and int64 class indices (N,) for multiclass; else float32: (N, 1) binary, (N, L) multilabel,
        (N, R) regression; each with T after N per position.
    """
    leading = 2 if asked.per_position else 1
    if asked.task is Task.MULTICLASS:
        tensor = rows.reshape(rows.shape[:leading]).to(torch.int64)
    else:
        tensor = (rows if rows.ndim > leading else rows.unsqueeze(-1)).to(torch.float32)
    classes = asked.classes
    if asked.task is Task.MULTICLASS and not classes:
        classes = tuple(str(label) for label in range(int(tensor.max()) + 1))
    numbers = asked.task in (Task.REGRESSION, Task.MULTILABEL)
    if asked.per_position:
        settled = replace(target, kind="sequence" if numbers else "tokens", classes=classes)
    else:
        settled = replace(target, kind="features" if numbers else "categorical", classes=classes)
    field = replace(settled.as_field(), shape=tuple(tensor.shape[1:]))
    return field, tensor
