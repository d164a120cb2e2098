"""Whether two runs are asked the same, row by row: without that, no comparison is fair."""

from dataclasses import replace

import torch
from torch import Tensor

from dlcli.contracts.member import Member
from dlcli.errors import DataError, UsageError
from dlcli.experiment.evaluation.opened_run import OpenedRun


def check_same_rows(one: OpenedRun, other: OpenedRun) -> None:
    """Refuse runs that are not judged by the same questions.

    Args:
        one: A run.
        other: Another.

    Raises:
        UsageError: They have other data, or other rows of it.
        DataError: They answer another target, or its rows have other weights, groups, masks or lengths.
    """
    names = f"{one.address} and {other.address}"
    if one.dataset.fingerprint != other.dataset.fingerprint:
        raise UsageError(
            f"{names} are of different data: {one.path} has the fingerprint {one.dataset.fingerprint}, {other.path} "
            f"{other.dataset.fingerprint}; give a file that both can answer with --data"
        )
    if one.model.task is not other.model.task or one.model.classes != other.model.classes:
        raise DataError(
            f"{names} answer different questions: {_question(one)} and {_question(other)}; compare runs of one target"
        )
    if not torch.equal(one.rows, other.rows):
        raise UsageError(
            f"the {one.split} rows of {names} are not the same ({len(one.rows):,} and {len(other.rows):,}): their data "
            "was divided by other seeds or data.split, or they are folds; give a file of rows that neither was trained "
            "on with --data, or store the splits in the file and train again"
        )
    for role in ("target", "weight", "group", "mask", "length"):
        if not _same(_role(one, role), _role(other, role)):
            raise DataError(
                f"the {role} of {names} is not the same: their recipes take different fields of {one.path} by "
                "[data.fields]; compare runs of one target and one weighting"
            )


def _question(opened: OpenedRun) -> str:
    classes = opened.model.classes
    return f"{opened.model.task}, {len(classes)} classes" if classes else str(opened.model.task)


def _role(opened: OpenedRun, role: str) -> Tensor | None:
    fields = opened.dataset.by_role(role)
    return opened.dataset.tensors[fields[0].name][opened.rows] if fields else None


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)


def judges_of(one: Member, other: Member) -> tuple[Member, Member]:
    """Return who judges two runs: both by the loss of the first, and by the metrics of either.

    Args:
        one: Whose loss, metrics and task are the first run's.
        other: Likewise of the second.

    Returns:
        Both judges.

    Raises:
        UsageError: The loss of the first takes outputs that the second has not.
    """
    if one.loss.outputs_per_target > 1 and type(one.loss) is not type(other.loss):
        raise UsageError(
            f"both runs are judged by the loss of the first, but {one.loss.name} takes {one.loss.outputs_per_target} "
            f"outputs a target, and the second was trained with {other.loss.name}; name the other run first"
        )
    metrics = {**other.metrics, **one.metrics}
    ordered = {name: metrics[name] for name in dict.fromkeys((*one.metrics, *other.metrics))}
    return replace(one, metrics=ordered), replace(other, loss=one.loss, metrics=ordered)
