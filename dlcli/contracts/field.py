"""Named fields of a dataset, and the view of them that an architecture is built from."""

from dataclasses import dataclass
from typing import Literal

from dlcli.contracts.task import Task

Role = Literal["input", "target", "condition", "length", "mask", "weight", "group"]
ROLES: tuple[Role, ...] = ("input", "target", "condition", "length", "mask", "weight", "group")
Kind = Literal["features", "image", "sequence", "tokens", "categorical"]
KINDS_OF_FIELDS: tuple[Kind, ...] = ("features", "image", "sequence", "tokens", "categorical")


@dataclass(frozen=True)
class Field:
    """One dataset of a split: what it is for and how a row of it looks.

    Args:
        name: Name in the file, such as `x`.
        role: What it is for.
        kind: How its rows are laid out: features (F,), image (C, H, W), sequence (T, F), tokens (T,), categorical ().
        shape: Shape of one row as a module sees it, without the batch dimension; images are channels first.
        dtype: Type of the values as stored, such as `uint8` or `float32`.
        classes: Names of the classes or labels, where the field has any.
        names: Names of the columns, where the field has any.
        of: For a length, mask or weight: the field that it belongs to.
    """

    name: str
    role: Role
    kind: Kind
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    of: str | None = None


@dataclass(frozen=True)
class InputOutput:
    """All that an architecture may know about the data when it is built.

    Args:
        inputs: Input fields after preprocessing, in the order in which `forward` gets them.
        task: The task.
        outputs: Width O of the last dimension of the output: 1 for binary, classes, labels or targets otherwise; of a
            loss with several outputs a target as many times the targets.
        classes: Names of the classes or labels; empty for regression.
        conditions: Condition fields after preprocessing, in order.
        per_position: Whether there is an answer for each of T positions.
        targets: Names of the regression targets, where the file gives them.
    """

    inputs: tuple[Field, ...]
    task: Task
    outputs: int
    classes: tuple[str, ...] = ()
    conditions: tuple[Field, ...] = ()
    per_position: bool = False
    targets: tuple[str, ...] = ()
