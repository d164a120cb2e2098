"""Folds for cross-validation: a pure function of the rows, the seed and how they are made."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold, FoldKind, Folds
from dlcli.contracts.randomness import derive, stream
from dlcli.contracts.task import Task
from dlcli.data.folds import shuffle_split
from dlcli.errors import DataError

INNER_SHARE = 0.1
"""Share of a fold's training rows that decide its best epoch, where `data.split.val` says nothing."""


def fold_rows(dataset: Dataset) -> Tensor:
    """Return the rows that folds are made of: all training and validation rows, sorted; test rows are left out."""
    return torch.cat([rows for name, rows in dataset.splits.items() if name != "test"]).sort().values


@dataclass(frozen=True)
class FoldPlan:
    """How folds are made.

    Args:
        count: Folds of a repeat, ≥ 2; of `time_ordered` how many later parts are held out in turn.
        kind: How rows are divided; None: in whole groups where there is a group field, else by class where there is one
            a row, else at random.
        stratify: False not to divide by class where `kind` says nothing.
        repeats: How often the rows are divided anew, ≥ 1.
        gap: Rows between those that are trained on and those that are held out later, ≥ 0; of `time_ordered` alone.
    """

    count: int
    kind: FoldKind | None = None
    stratify: bool | None = None
    repeats: int = 1
    gap: int = 0


def settled_kind(dataset: Dataset, plan: FoldPlan) -> FoldKind:
    """Return how rows are divided.

    Args:
        dataset: The data.
        plan: How folds are made.

    Returns:
        The plan's kind, or what the data wants.

    Raises:
        DataError: The data has no groups, or not one class a row, that the kind needs; or other keys do not go with it.
    """
    one_class = dataset.task in (Task.BINARY, Task.MULTICLASS) and not dataset.per_position
    grouped = bool(dataset.by_role("group"))
    kind = plan.kind
    if kind is None:
        kind = "grouped" if grouped else "stratified" if one_class and plan.stratify is not False else "kfold"
    if kind in ("grouped", "leave_one_group_out") and not grouped:
        raise DataError(f"{kind} folds need to know the group of each row; give a field the role group, or take kfold")
    if kind == "stratified" and not one_class:
        raise DataError("stratified folds need one class a row, which the target does not give; take kfold")
    if plan.repeats > 1 and kind in ("leave_one_group_out", "time_ordered"):
        raise DataError(f"{kind} folds are the same every time: leave out repeats")
    if plan.gap and kind != "time_ordered":
        raise DataError(f"a gap is for time_ordered folds alone, got {plan.gap} for {kind}: leave it out")
    return kind


def told(dataset: Dataset, plan: FoldPlan, seed: int) -> str:
    """Say how folds are made, such as `5 stratified folds, seed 0`."""
    kind = settled_kind(dataset, plan)
    repeated = f", {plan.repeats} times" if plan.repeats > 1 else ""
    gap = f", gap {plan.gap}" if plan.gap else ""
    seeded = "" if kind in ("leave_one_group_out", "time_ordered") else f", seed {seed}"
    name = "" if kind == "kfold" else f" {kind}"
    return f"{plan.count}{name} folds{repeated}{gap}{seeded}"


def make_folds(
    dataset: Dataset, rows: Tensor, count: int, *, seed: int, kind: FoldKind | None = None, stratify: bool | None = None
) -> Folds:
    """Divide rows into folds that together are all of them.

    By class, the rows of a class in two folds differ by at most one, and so do the sizes of the folds. Groups are dealt
    out from the largest down, each to the fold that is smallest so far.

    Args:
        dataset: The data.
        rows: Rows to divide, int64.
        count: Number of folds, ≥ 2.
        seed: Decides the folds; with the arguments before it, nothing else does.
        kind: How, but not `time_ordered`; None: as the data wants, see `FoldPlan`.
        stratify: Likewise.

    Returns:
        The folds.

    Raises:
        DataError: More folds than rows, than rows of the smallest class, or than groups.
    """
    kind = settled_kind(dataset, FoldPlan(count, kind, stratify))
    if count > len(rows):
        raise DataError(
            f"{len(rows)} training and validation rows cannot make {count} folds; take {len(rows)} folds at most, or "
            "add rows"
        )
    generator = stream(seed, "folds")
    if kind == "leave_one_group_out":
        fold_of = _each_group(_groups(dataset)[rows], count)
    elif kind == "grouped":
        fold_of = _deal_groups(_groups(dataset)[rows], count, generator)
    else:
        strata = torch.zeros_like(rows)
        if kind == "stratified":
            strata = _labels(dataset)[rows]
            _check_classes(dataset, strata, count)
        shuffled = torch.randperm(len(rows), generator=generator)
        order = shuffled[torch.argsort(strata[shuffled], stable=True)]
        # Dealt out like cards, class after class: no fold is ever more than one row ahead, in a class or in all.
        fold_of = torch.empty_like(rows)
        fold_of[order] = torch.arange(len(rows)) % count
    return Folds(tuple(rows[fold_of == fold].sort().values for fold in range(count)))


def cross_validation(dataset: Dataset, plan: FoldPlan, *, seed: int, inner: float | None) -> tuple[Fold, ...]:
    """Make the rounds of a cross-validation over training and validation rows; see `fold_rounds`."""
    return fold_rounds(dataset, fold_rows(dataset), plan, seed=seed, inner=inner)


def fold_rounds(dataset: Dataset, rows: Tensor, plan: FoldPlan, *, seed: int, inner: float | None) -> tuple[Fold, ...]:
    """Make the rounds of a cross-validation.

    Args:
        dataset: The data.
        rows: Rows to divide, int64; for `time_ordered` the earliest first, in the order of their numbers.
        plan: How.
        seed: Decides the rows; the same for every trial and on every machine.
        inner: Share of each fold's own training rows that decide its best epoch, in (0, 1), divided as the folds are,
            in time the last ones; None to train on all of them.

    Returns:
        One round a fold, repeat after repeat.

    Raises:
        DataError: Too few rows, rows of a class, or groups.
    """
    kind = settled_kind(dataset, plan)
    if kind == "time_ordered":
        outer = _in_time(rows.sort().values, plan)
    else:
        outer = []
        for repeat in range(plan.repeats):
            own = seed if repeat == 0 else derive(seed, "repeat", repeat)
            held_out = make_folds(dataset, rows, plan.count, seed=own, kind=kind).held_out
            outer += [Fold(part, rows[~torch.isin(rows, part)], None) for part in held_out]
    return with_inner_parts(dataset, outer, plan, seed=seed, inner=inner)


def with_inner_parts(
    dataset: Dataset, folds: Sequence[Fold], plan: FoldPlan, *, seed: int, inner: float | None
) -> tuple[Fold, ...]:
    """Give folds that have none a part of their training rows that decides the best epoch; see `fold_rounds`."""
    if inner is None:
        return tuple(folds)
    kind = settled_kind(dataset, plan)
    found = []
    for number, fold in enumerate(folds):
        if fold.validation is not None:
            found.append(fold)
        elif kind == "time_ordered":
            found.append(_last_part(fold, inner, plan.gap))
        else:
            parts = _inner_parts(dataset, fold.training, inner, derive(seed, "fold", number), kind, plan.count)
            found.append(Fold(fold.held_out, parts["train"], parts["val"]))
    return tuple(found)


def _in_time(rows: Tensor, plan: FoldPlan) -> list[Fold]:
    """Hold out later parts of equal size in turn; all before each, but for the gap, is trained on."""
    size = len(rows) // (plan.count + 1)
    first = len(rows) - plan.count * size
    if size < 1 or first - plan.gap < 1:
        raise DataError(
            f"{len(rows)} training and validation rows are too few for {plan.count} time_ordered folds with a gap of "
            f"{plan.gap}; take fewer folds, or a smaller gap"
        )
    starts = range(first, len(rows), size)
    return [Fold(rows[start : start + size], rows[: start - plan.gap], None) for start in starts]


def _last_part(fold: Fold, inner: float, gap: int) -> Fold:
    count = max(1, round(inner * len(fold.training)))
    left = len(fold.training) - count - gap
    if left < 1:
        raise DataError(
            f"{len(fold.training)} training rows of the first fold leave nothing to train on beside {count} to choose "
            f"the best epoch by and a gap of {gap}; take fewer folds, a smaller gap, or train for a fixed time: "
            'train.select = "last" without early stopping'
        )
    return Fold(fold.held_out, fold.training[:left], fold.training[-count:])


def _groups(dataset: Dataset) -> Tensor:
    return dataset.tensors[dataset.by_role("group")[0].name]


def _labels(dataset: Dataset) -> Tensor:
    """Return the class of every row."""
    return dataset.tensors[dataset.target.name].reshape(dataset.rows).to(torch.int64)


def _check_classes(dataset: Dataset, labels: Tensor, count: int) -> None:
    sizes = torch.bincount(labels).tolist()
    size, label = min((size, label) for label, size in enumerate(sizes) if size)
    if size < count:
        most = f"take {size} folds at most, " if size > 1 else ""
        raise DataError(
            f"class {dataset.target.classes[label]!r} has {size} training and validation rows, too few for {count} "
            f"folds that each hold some of every class; {most}add rows, or set data.split.stratify = false"
        )


def _deal_groups(groups: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the fold of each row."""
    names, group_of = torch.unique(groups, return_inverse=True)
    if len(names) < count:
        most = f"take {len(names)} folds at most, or " if len(names) > 1 else ""
        raise DataError(
            f"{len(names)} groups are too few for {count} folds, since groups stay whole; {most}add groups, or give "
            "the field that says them no role"
        )
    sizes = torch.bincount(group_of)
    shuffled = torch.randperm(len(names), generator=generator)
    order = shuffled[torch.argsort(sizes[shuffled], descending=True, stable=True)]
    fold_of = torch.empty(len(names), dtype=torch.int64)
    filled = [0] * count
    for group in order.tolist():
        fold = filled.index(min(filled))
        fold_of[group] = fold
        filled[fold] += int(sizes[group])
    return fold_of[group_of]


def _each_group(groups: Tensor, count: int) -> Tensor:
    """Return the fold of each row: its group's place among all groups in order."""
    names, group_of = torch.unique(groups, return_inverse=True)
    if len(names) != count:
        raise DataError(
            f"leave_one_group_out makes one fold of each group; there are {len(names)}, got {count} folds: set --kfold "
            f"{len(names)}"
        )
    fold_of: Tensor = group_of
    return fold_of


def _inner_parts(
    dataset: Dataset, rows: Tensor, share: float, seed: int, kind: FoldKind, count: int
) -> dict[str, Tensor]:
    whole = kind in ("grouped", "leave_one_group_out")
    try:
        return shuffle_split(
            rows,
            {"val": share},
            seed,
            classes=_labels(dataset)[rows] if kind == "stratified" else None,
            groups=_groups(dataset)[rows] if whole else None,
        )
    except ValueError as cause:
        raise DataError(
            f"{count} folds leave too little to choose the best epoch on ({cause}); take more folds, or train for a "
            'fixed time: train.select = "last" without early stopping'
        ) from cause
