"""`folds.json`: which rows each fold holds out, and which decide its best epoch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.folds import Fold, digest
from dlcli.data.kfold import fold_rows
from dlcli.errors import DataError
from dlcli.recipe.wording import shown
from dlcli.untrusted import read_json, reason

FORMAT = 1


def write_folds(path: Path, folds: Sequence[Fold], dataset: Dataset, how: str) -> None:
    """Write folds: rows as places in the dataset's splits train, val, test, laid end to end.

    Args:
        path: The file.
        folds: The folds.
        dataset: What they are of.
        how: How they were made, for people, such as `stratified, seed 0`.
    """
    head = {
        "format": FORMAT,
        "made": how,
        "fingerprint": dataset.fingerprint,
        "rows": dataset.rows,
        "sha256": digest(folds),
    }
    listed = [
        {
            "held_out": fold.held_out.tolist(),
            "training": fold.training.tolist(),
            "validation": None if fold.validation is None else fold.validation.tolist(),
        }
        for fold in folds
    ]
    # A line a fold: millions of rows, a line each, would be no use to anyone.
    entries = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines = ",\n".join(json.dumps(fold) for fold in listed)
    atomic.write_text(path, "{" + ", ".join(entries) + f', "folds": [\n{lines}\n]}}\n')


def read_folds(path: Path) -> tuple[Fold, ...]:
    """Read folds.

    Args:
        path: What `write_folds` left.

    Returns:
        The folds.

    Raises:
        DataError: The file is missing, damaged or of another format.
    """
    return _read(path)[1]


def read_saved_folds(path: Path, dataset: Dataset) -> tuple[Fold, ...]:
    """Read folds that somebody saved, and see that they are folds of a dataset.

    Args:
        path: What `dlcli data folds`, or a run, left.
        dataset: The data.

    Returns:
        The folds.

    Raises:
        DataError: The file is missing or damaged, or of other data, or one of its parts shares rows with another, or
            has test rows.
    """
    table, folds = _read(path)
    if table.get("rows") != dataset.rows or table.get("fingerprint") != dataset.fingerprint:
        raise DataError(
            f"{path} is of other data: of {table.get('rows')} rows with the fingerprint {table.get('fingerprint')}, "
            f"expected {dataset.rows} with {dataset.fingerprint}; make folds of this file with dlcli data folds"
        )
    allowed = fold_rows(dataset)
    for number, fold in enumerate(folds):
        rows = torch.cat([part for part in (fold.held_out, fold.training, fold.validation) if part is not None])
        if len(torch.unique(rows)) < len(rows):
            raise DataError(f"{path}: parts of fold {number} share rows, so that nothing it measures would be honest")
        if not bool(torch.isin(rows, allowed).all()):
            raise DataError(f"{path}: fold {number} has rows that are for test, or that are not there")
        if not len(fold.held_out) or not len(fold.training):
            raise DataError(f"{path}: fold {number} holds nothing out, or has nothing to train on")
    return folds


def _read(path: Path) -> tuple[dict[str, Any], tuple[Fold, ...]]:
    try:
        table = _table(read_json(path))
        folds = tuple(_fold(number, fold) for number, fold in enumerate(table["folds"]))
    except FileNotFoundError:
        raise DataError(
            f"there is no file of folds {path}; check the path, restore it, or make it: dlcli data folds DATA -o {path}"
        ) from None
    except (OSError, ValueError) as error:
        told = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot read the folds {path}: {reason(told)}; restore the file, or make them anew") from None
    # Runs of earlier versions say no digest.
    if table.get("sha256") not in (None, digest(folds)):
        raise DataError(f"{path} was changed: its rows are not those of its sha256; restore the file, or make it anew")
    return table, folds


def _table(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError("it is not what dlcli data folds writes, a table with format, fingerprint and folds")
    if found["format"] != FORMAT:
        raise ValueError(f"it has format {shown(found['format'])}; this dlcli reads format {FORMAT}")
    if not isinstance(found.get("folds"), list):
        raise ValueError("it has no list of folds")
    return found


def _fold(number: int, found: Any) -> Fold:
    parts = ("held_out", "training", "validation")
    if not isinstance(found, dict) or not set(parts) <= found.keys():
        raise ValueError(f"fold {number} is no table of {', '.join(parts)}")
    rows = []
    for part in parts:
        try:
            rows.append(None if part == "validation" and found[part] is None else row_numbers(found[part]))
        except ValueError as error:
            raise ValueError(f"{part} of fold {number}: {error}") from None
    held_out, training, validation = rows
    assert held_out is not None
    assert training is not None
    return Fold(held_out, training, validation)


def row_numbers(values: Any) -> Tensor:
    """Return rows that a file lists.

    Args:
        values: A list of whole numbers ≥ 0.

    Returns:
        The same, int64.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise ValueError("rows are no list of whole numbers")
    try:
        found = torch.tensor(values, dtype=torch.int64)
    except (RuntimeError, OverflowError):
        raise ValueError("a row is too large a number") from None
    if len(found) and int(found.min()) < 0:
        raise ValueError(f"there is no row {int(found.min())}")
    return found


def same_folds(first: Sequence[Fold], second: Sequence[Fold]) -> bool:
    """Return whether two lists of folds are the same."""

    def rows(fold: Fold) -> list[list[int]]:
        parts = (fold.held_out, fold.training, fold.validation)
        return [[] if part is None else part.tolist() for part in parts]

    return [rows(fold) for fold in first] == [rows(fold) for fold in second]
