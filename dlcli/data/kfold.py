"""Folds for cross-validation: a pure function of the rows, the seed and the number of folds."""

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold, Folds
from dlcli.contracts.randomness import derive, stream
from dlcli.contracts.task import Task
from dlcli.data.folds import shuffle_split
from dlcli.errors import DataError

INNER_SHARE = 0.1
"""Share of a fold's training rows that decide its best epoch, where `data.split.val` says nothing."""


def fold_rows(dataset: Dataset) -> Tensor:
    """Return the rows that folds are made of: all training and validation rows, sorted; test rows are left out."""
    return torch.cat([rows for name, rows in dataset.splits.items() if name != "test"]).sort().values


def make_folds(dataset: Dataset, rows: Tensor, count: int, *, seed: int, stratify: bool | None = None) -> Folds:
    """Divide rows into folds: whole groups where there is a group field, else by class where there is one a row.

    By class, the rows of a class in two folds differ by at most one, and so do the sizes of the folds. Groups are dealt
    out from the largest down, each to the fold that is smallest so far.

    Args:
        dataset: The data.
        rows: Rows to divide, int64.
        count: Number of folds, ≥ 2.
        seed: Decides the folds; with the arguments before it, nothing else does.
        stratify: Whether by class; None: where there is one class a row, and no groups.

    Returns:
        The folds.

    Raises:
        DataError: More folds than rows, than rows of the smallest class, or than groups.
    """
    if count > len(rows):
        raise DataError(
            f"{len(rows)} training and validation rows cannot make {count} folds; take {len(rows)} folds at most, or "
            "add rows"
        )
    generator = stream(seed, "folds")
    groups, labels = _groups(dataset), _labels(dataset, stratify)
    if groups is not None:
        fold_of = _deal_groups(groups[rows], count, generator)
    else:
        strata = torch.zeros_like(rows) if labels is None else labels[rows]
        if labels is not None:
            _check_classes(dataset, strata, count)
        shuffled = torch.randperm(len(rows), generator=generator)
        order = shuffled[torch.argsort(strata[shuffled], stable=True)]
        # Dealt out like cards, class after class: no fold is ever more than one row ahead, in a class or in all.
        fold_of = torch.empty_like(rows)
        fold_of[order] = torch.arange(len(rows)) % count
    return Folds(tuple(rows[fold_of == fold].sort().values for fold in range(count)))


def cross_validation(
    dataset: Dataset, count: int, *, seed: int, inner: float | None, stratify: bool | None = None
) -> tuple[Fold, ...]:
    """Make the rounds of a cross-validation over training and validation rows.

    Args:
        dataset: The data.
        count: Number of folds, ≥ 2.
        seed: Decides the rows; the same for every trial and on every machine.
        inner: Share of each fold's own training rows that decide its best epoch, in (0, 1), divided as the folds are;
            None to train on all of them.
        stratify: Whether by class; None: where there is one class a row, and no groups.

    Returns:
        One round a fold.

    Raises:
        DataError: Too few rows, rows of a class, or groups.
    """
    return fold_rounds(dataset, fold_rows(dataset), count, seed=seed, inner=inner, stratify=stratify)


def fold_rounds(
    dataset: Dataset, rows: Tensor, count: int, *, seed: int, inner: float | None, stratify: bool | None = None
) -> tuple[Fold, ...]:
    """Make the rounds of a cross-validation over given rows, int64; the rest is as for `cross_validation`."""
    folds = make_folds(dataset, rows, count, seed=seed, stratify=stratify)
    found = []
    for number, held_out in enumerate(folds.held_out):
        training, validation = rows[~torch.isin(rows, held_out)], None
        if inner is not None:
            parts = _inner_parts(dataset, training, inner, derive(seed, "fold", number), stratify, count)
            training, validation = parts["train"], parts["val"]
        found.append(Fold(held_out, training, validation))
    return tuple(found)


def _groups(dataset: Dataset) -> Tensor | None:
    field = next(iter(dataset.by_role("group")), None)
    return None if field is None else dataset.tensors[field.name]


def _labels(dataset: Dataset, stratify: bool | None) -> Tensor | None:
    """Return the class of every row; None where folds are not made by class."""
    one_class = dataset.task in (Task.BINARY, Task.MULTICLASS) and not dataset.per_position
    if stratify is False or not one_class:
        return None
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


def _inner_parts(
    dataset: Dataset, rows: Tensor, share: float, seed: int, stratify: bool | None, count: int
) -> dict[str, Tensor]:
    groups, labels = _groups(dataset), _labels(dataset, stratify)
    if groups is not None:
        labels = None
    try:
        return shuffle_split(
            rows,
            {"val": share},
            seed,
            classes=None if labels is None else labels[rows],
            groups=None if groups is None else groups[rows],
        )
    except ValueError as cause:
        raise DataError(
            f"{count} folds leave too little to choose the best epoch on ({cause}); take more folds, or train for a "
            'fixed time: train.select = "last" without early stopping'
        ) from cause
