"""Which row of a source goes into which split: by ratio, by class, in whole groups, or by time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dlcli.contracts.importer import SourceField
from dlcli.contracts.randomness import derive
from dlcli.data.folds import REST, shuffle_split
from dlcli.data.row_source import ImportedRows
from dlcli.errors import DataError, UsageError
from dlcli.experiment.importing.fields import READ_ROWS, as_stored

DEFAULT_VAL = 0.2
"""Share of the rows that become `val` where nobody says otherwise."""
BLOCK_ROWS = 2**20
"""Rows that are divided at once, so that memory stays bounded; each block by the same shares."""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Wanted:
    """How rows are to be divided.

    Args:
        val: Share of all rows for `val`; None for none.
        test: Share of all rows for `test`; None for none.
        stratify: Whether by class; None: where there is one class a row, and neither groups nor time.
        ordered: Whether rows follow one another in time.
        seed: Decides which rows.
    """

    val: float | None
    test: float | None
    stratify: bool | None
    ordered: bool
    seed: int

    @property
    def shares(self) -> dict[str, float]:
        """The shares that are not 0, `test` first."""
        return {name: share for name, share in (("test", self.test), ("val", self.val)) if share}


@dataclass(frozen=True)
class Division:
    """Which rows are where.

    Args:
        splits: Names of the splits; empty for none.
        membership: For each row the place of its split in `splits`, int8 (N,); -1 for none.
        how: In words.
    """

    splits: tuple[str, ...]
    membership: np.ndarray
    how: str

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows of each split."""
        return {name: int((self.membership == place).sum()) for place, name in enumerate(self.splits)}


def divide(source: Path, rows: ImportedRows, fields: tuple[SourceField, ...], wanted: Wanted) -> Division:
    """Divide rows; a pure function of the source and of what is wanted.

    Args:
        source: The source, for messages.
        rows: The same, to be read where classes, groups or times decide.
        fields: Its settled fields.
        wanted: The shares and what decides.

    Returns:
        Where each row goes.

    Raises:
        DataError: Too few rows, rows of a class, or groups.
        UsageError: Shares leave nothing to train on, or there is nothing to stratify by.
    """
    total = fields[0].rows or 0
    shares = wanted.shares
    if not shares:
        return Division((), np.full(total, -1, np.int8), "not divided")
    if sum(shares.values()) >= 1:
        raise UsageError(f"--split and --test leave nothing to train on: {sum(shares.values()):g} of 1; use less")
    splits = tuple(name for name in SPLITS if name == REST or name in shares)
    time = next((field for field in fields if field.name == "time" and field.role is None), None)
    group = next((field for field in fields if field.role == "group"), None)
    target = next(field for field in fields if field.role == "target")
    labelled = bool(target.classes) and not target.shape
    if wanted.stratify and (not labelled or group or time or wanted.ordered):
        why = "groups or time decide" if labelled else f"the target {target.name!r} has no classes"
        raise UsageError(f"--stratify divides by class, but {why}; leave it out")
    if group and (time or wanted.ordered):
        raise UsageError(
            "the last rows in time part groups, so that one would be on both sides of a split: divide by --group or "
            "by --time, or take --split none and the folds of data.folds"
        )
    try:
        if time or wanted.ordered:
            when = np.arange(total) if time is None else _column(rows, time)
            sorted_ = bool((when[1:] >= when[:-1]).all())
            mixed = "" if sorted_ else "; within a split not in the order of time, as time_ordered folds would want it"
            return Division(splits, _by_time(when, shares, splits), f"the last rows in time{mixed}")
        if group:
            named = _column(rows, group).astype(np.int64)
            found = shuffle_split(torch.arange(total), shares, wanted.seed, groups=torch.from_numpy(named))
            return Division(splits, _places(found, splits, total), "whole groups, at random")
        by_class = labelled and wanted.stratify is not False
        return Division(
            splits,
            _at_random(rows, target if by_class else None, total, shares, splits, wanted.seed),
            "at random, stratified by class" if by_class else "at random",
        )
    except ValueError as cause:
        raise DataError(f"{source}: {cause}") from cause


def own_division(source: Path, own: Mapping[str, np.ndarray], total: int) -> Division:
    """Return the splits that a source itself makes.

    Args:
        source: The source, for messages.
        own: Row numbers of each split.
        total: Number of rows.

    Returns:
        Where each row goes.

    Raises:
        DataError: Row numbers are out of range, or a row comes twice, in one split or two.
    """
    membership = np.full(total, -1, np.int8)
    names = tuple(name for name in SPLITS if name in own)
    for place, name in enumerate(names):
        numbers = own[name]
        outside = numbers[(numbers < 0) | (numbers >= total)]
        if len(outside):
            raise DataError(f"{source}: the split {name} names row {outside[0]}, but rows are 0 to {total - 1}")
        values, counts = np.unique(numbers, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"{source}: the split {name} names row {values[counts > 1][0]} twice; name each row once")
        if len(both := numbers[membership[numbers] >= 0]):
            other = names[membership[both[0]]]
            raise DataError(
                f"{source}: row {both[0]} is in {other} and in {name} ({len(both)} such rows); a row belongs to one "
                "split, or scores are of rows that were trained on"
            )
        membership[numbers] = place
    return Division(names, membership, "as the source says")


def _column(rows: ImportedRows, field: SourceField) -> np.ndarray:
    parts = [as_stored(field, arrays[field.name]) for arrays in rows.arrays(rows.parts[0], [field.name], READ_ROWS)]
    return np.concatenate(parts)


def _by_time(when: np.ndarray, shares: Mapping[str, float], splits: tuple[str, ...]) -> np.ndarray:
    """Return places: the last rows are `test`, those before them `val`; rows of one moment stay together."""
    order = np.argsort(when, kind="stable")
    membership = np.zeros(len(when), np.int8)
    end = len(when)
    for name, share in shares.items():
        start = end - max(1, round(share * len(when)))
        while 0 < start < len(when) and when[order[start]] == when[order[start - 1]]:
            start -= 1
        if start <= 0:
            raise ValueError(f"{len(when)} rows in time are too few for {', '.join(splits)}; use fewer splits")
        membership[order[start:end]] = splits.index(name)
        end = start
    return membership


def _at_random(
    rows: ImportedRows,
    target: SourceField | None,
    total: int,
    shares: Mapping[str, float],
    splits: tuple[str, ...],
    seed: int,
) -> np.ndarray:
    labels = None if target is None else _column(rows, target)
    if target is not None and labels is not None:
        counts = np.bincount(labels.astype(np.int64), minlength=len(target.classes))
        if (counts == 1).any():
            single = target.classes[int((counts == 1).argmax())]
            raise ValueError(
                f"class {single!r} has one row, which cannot be in two splits; add rows, remove it, or --no-stratify"
            )
    parts = []
    for start in range(0, total, BLOCK_ROWS):
        size = min(BLOCK_ROWS, total - start)
        classes = None if labels is None else torch.from_numpy(labels[start : start + size].astype(np.int64))
        block_seed = derive(seed, "block", start) if start else seed
        parts.append(_places(shuffle_split(torch.arange(size), shares, block_seed, classes=classes), splits, size))
    return np.concatenate(parts)


def _places(found: Mapping[str, torch.Tensor], splits: tuple[str, ...], total: int) -> np.ndarray:
    membership = np.zeros(total, np.int8)
    for name, numbers in found.items():
        membership[numbers.numpy()] = splits.index(name)
    return membership
