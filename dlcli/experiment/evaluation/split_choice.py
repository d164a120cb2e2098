"""Which rows `--split` means for a run, and which of them it may not be judged by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold
from dlcli.errors import DataError, UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.fold_file import read_folds
from dlcli.experiment.row_file import RunRows, read_rows

ALL, FOLD = "all", "fold"
"""Stand for every row of a file, whatever its splits; and for the rows that a fold's model has not seen."""


def chosen_rows(
    address: Address, facts: Mapping[str, Any], dataset: Dataset, path: Path, split: str, *, same_data: bool
) -> tuple[Tensor, str | None]:
    """Return the rows of a split, and what must be known to read their figures.

    Args:
        address: The run, or the member of it.
        facts: Its `run.json`.
        dataset: The data.
        path: Its file.
        split: `train`, `val`, `test`, `all` or `fold`.
        same_data: Whether it is the data that the run was trained on.

    Returns:
        Rows, int64; and a note, None where nothing need be known.

    Raises:
        UsageError: There is no such split, or the run was trained on its validation rows.
        DataError: Files of the run list rows or folds that are not there.
    """
    rows, note = _chosen(address, facts, dataset, path, split, same_data)
    if len(rows) and int(rows.max()) >= dataset.rows:
        raise DataError(f"{address} lists row {int(rows.max())}, but {path} has {dataset.rows}; restore its files")
    return rows, note


def _chosen(
    address: Address, facts: Mapping[str, Any], dataset: Dataset, path: Path, split: str, same_data: bool
) -> tuple[Tensor, str | None]:
    number = _fold_number(address)
    trial = bool(address.member) and facts.get("command") == "tune"
    if split == FOLD:
        if number is None or not same_data:
            raise UsageError(_no_fold(address, facts, same_data))
        return _fold(address, number).held_out, None
    if split == ALL:
        note = f"{address} was trained on some of these rows" if same_data else None
        return torch.arange(dataset.rows), note
    own = read_rows(address.run) if same_data else None
    if own is not None:
        return _own_rows(address, own, dataset, split)
    if split not in dataset.splits:
        raise UsageError(
            f"{path} has no split {split!r}; there are {', '.join(dataset.splits)}, and {ALL} for every row"
        )
    rows = dataset.splits[split]
    if not same_data:
        return rows, None
    if trial and not address.run.folds.exists():
        # The search's final model has seen the validation rows, but its trials were compared by them.
        notes = {"train": "the model was trained on these rows", "val": "the trials were compared by these rows"}
        return rows, notes.get(split)
    if split == "val" and "val" in facts.get("trained_on", ()):
        raise UsageError(_trained_on_val(address, number, facts))
    if split != "train":
        return rows, None
    if number is not None:
        return _fold(address, number).training, "the rows that this fold's model was trained on"
    return rows, "the model was trained on these rows"


def _own_rows(address: Address, own: RunRows, dataset: Dataset, split: str) -> tuple[Tensor, str | None]:
    """Return the rows of a split of a run whose members had splits of their own."""
    rows = own.splits.get(split)
    if rows is None:
        there = ", ".join(own.splits)
        what = "that no member was trained on" if split == "val" else "that all of its members have in common"
        raise UsageError(f"{address} has no {split} rows {what}; there are {there}, and {ALL} for every row")
    if split == "train":
        return rows, "members were trained on these rows"
    fewer = len(rows) < len(dataset.splits.get(split, rows))
    return rows, f"the {split} rows that its members have in common" if fewer else None


def _fold(address: Address, number: int) -> Fold:
    folds = read_folds(address.run.folds)
    if number >= len(folds):
        raise DataError(f"{address.run.folds} has {len(folds)} folds, and none for {address}; restore the file")
    return folds[number]


def _fold_number(address: Address) -> int | None:
    kind, _, number = address.member.rpartition("-")
    return int(number) if kind == "fold" and number.isdecimal() and address.run.folds.exists() else None


def _trained_on_val(address: Address, number: int | None, facts: Mapping[str, Any]) -> str:
    if number is not None:
        return (
            f"{address} was trained on a part of the validation rows, which are in the folds, so their figures would "
            "be too good; --split fold takes the rows that it has not seen, --split test the test rows"
        )
    advice = "--split test takes the test rows"
    if facts.get("command") == "tune":
        advice = f"the search's summary has the scores by models that had not seen them; {advice}"
    elif address.run.folds.exists():
        advice = (
            f"its summary has the figures of each row by the model that has not seen it, --split fold takes those of "
            f"one fold ({address.run.path}@fold-0), --split test the test rows"
        )
    return f"{address} was trained on the validation rows too, so their figures would be too good; {advice}"


def _no_fold(address: Address, facts: Mapping[str, Any], same_data: bool) -> str:
    if not same_data:
        return "--split fold is for the data that the run was trained on; leave out --data, or take another split"
    if facts.get("command") == "tune":
        return f"{address} is no fold's model: a search's summary has the scores on folds; take --split test"
    if address.run.folds.exists():
        return (
            f"--split fold is for one fold's model, such as {address.run.path}@fold-0; figures over all folds are in "
            "the summary, and predictions in oof.h5"
        )
    return f"{address} has no folds; --split fold is for a member of a run made with --kfold, such as RUN@fold-0"
