"""One pass over the values of a field, in blocks of rows: figures of columns, lengths, tokens, classes."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcli.contracts.task import Task
from dlcli.data.column_figures import ColumnFigures, ColumnTally
from dlcli.data.row_blocks import row_blocks, spread
from dlcli.data.stored import StoredField
from dlcli.data.target import Asked

if TYPE_CHECKING:
    import h5py

SAMPLE_BYTES = 64 * 2**20
"""Of a field larger than this only rows from everywhere are read, unless all are asked for."""
COUNTED_TOKENS = 2**20
"""Tokens below this are counted one by one."""
COMMON = 10
"""How many of the most common tokens are told."""


@dataclass(frozen=True)
class StepFigures:
    """How many steps rows have, of those there is room for.

    Args:
        room: Steps T that are stored for each row.
        lengths: Figures of the rows' own lengths.
        used: Share of the stored steps that rows use, in [0, 1].
    """

    room: int
    lengths: ColumnFigures
    used: float


@dataclass(frozen=True)
class TokenFigures:
    """Which tokens there are; padding is left out where lengths tell it.

    Args:
        distinct: How many different tokens were found; those of 2^20 and above are not counted one by one.
        common: The most common and the share of each in [0, 1], the most common first.
    """

    distinct: int
    common: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class FieldPass:
    """What a pass over a field found.

    Args:
        rows: How many rows were read.
        figures: Figures of all values together; None where these are no numbers.
        columns: Figures of each column, where rows have columns.
        steps: Lengths of the rows of the field that this one belongs to, where it is a length or a mask.
        tokens: Which tokens there are, where it holds tokens.
        class_counts: Rows of each class by split; empty but for a target with classes.
    """

    rows: int
    figures: ColumnFigures | None = None
    columns: tuple[ColumnFigures, ...] = ()
    steps: StepFigures | None = None
    tokens: TokenFigures | None = None
    class_counts: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)


def read_field(
    field: StoredField,
    owner: StoredField | None,
    lengths: StoredField | None,
    asked: Asked | None,
    splits: Mapping[str, "np.ndarray[Any, Any]"] | None,
    *,
    full: bool,
) -> FieldPass:
    """Read the values of a field once, some rows at a time.

    Args:
        field: The field.
        owner: The field that it belongs to, where it is a length or a mask.
        lengths: The length that belongs to it: later steps are padding, which no figure counts.
        asked: What the target asks for, where the field is the target.
        splits: Whether each row is in a split, bool (N,), of a file that lists the rows of its splits; None where a
            split is a group, or the file has none.
        full: Whether all rows are read, however many there are.

    Returns:
        What was found.
    """
    if not all(dataset.dtype.kind in "buif" and dataset.shape for dataset in field.datasets.values()):
        return FieldPass(0)
    shape = field.row_shape
    columned = 0 not in shape and (
        field.kind == "sequence" or (len(shape) == 1 and field.kind != "tokens" and field.role != "mask")
    )
    room = owner.row_shape[0] if owner is not None and owner.row_shape else None
    tally, steps = ColumnTally(shape[-1] if columned else 1), ColumnTally(1)
    tokens = np.zeros(0, np.int64)
    classes: dict[str, np.ndarray[Any, Any]] = {}
    read = 0
    for part, start, block in _blocks(field, full=full):
        read += len(block)
        values = _without_padding(block, lengths.datasets.get(part) if lengths else None, start)
        tally.add(values.reshape(-1, shape[-1] if columned else 1))
        if room is not None:
            steps.add(block.reshape(len(block), -1).sum(1, dtype=np.int64)[:, None])
        if field.kind == "tokens" and field.whole_numbers:
            tokens = _added(tokens, values)
        if asked is not None and asked.classes:
            for split, some in _by_split(block, part, start, splits).items():
                classes[split] = classes.get(split, 0) + _class_counts(some, asked)
    return FieldPass(
        rows=read,
        figures=tally.together(),
        columns=tally.columns(field.names or field.classes) if columned else (),
        steps=_step_figures(steps, room),
        tokens=_token_figures(tokens),
        class_counts={split: dict(zip(asked.classes, found.tolist(), strict=True)) for split, found in classes.items()}
        if asked
        else {},
    )


def _blocks(field: StoredField, *, full: bool) -> "Iterator[tuple[str, int, np.ndarray[Any, Any]]]":
    """Yield part, first row and values of blocks; where not all are read, of each part as large a share."""
    total = sum(dataset.nbytes for dataset in field.datasets.values())
    for part, dataset in field.datasets.items():
        blocks = row_blocks(dataset)
        if not full and total > SAMPLE_BYTES:
            blocks = spread(blocks, int(len(dataset) * SAMPLE_BYTES / total))
        for start, stop in blocks:
            yield part, start, dataset[start:stop]


def _without_padding(
    block: "np.ndarray[Any, Any]", lengths: "h5py.Dataset | None", start: int
) -> "np.ndarray[Any, Any]":
    """Return the steps (S, …) that rows (R, T, …) have; the rows themselves where no length tells it."""
    if lengths is None or block.ndim < 2 or len(lengths) < start + len(block):
        return block
    own: np.ndarray[Any, Any] = lengths[start : start + len(block)].reshape(len(block), -1)[:, :1]
    kept: np.ndarray[Any, Any] = block[np.arange(block.shape[1]) < own]
    return kept


def _added(counts: "np.ndarray[Any, Any]", tokens: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return how often each token was seen, with those of a block."""
    flat = tokens.reshape(-1)
    some = np.bincount(flat[(flat >= 0) & (flat < COUNTED_TOKENS)].astype(np.int64))
    more, fewer = (some, counts) if len(some) > len(counts) else (counts, some)
    more[: len(fewer)] += fewer
    return more


def _token_figures(counts: "np.ndarray[Any, Any]") -> TokenFigures | None:
    total = int(counts.sum())
    if not total:
        return None
    common = np.argsort(-counts, kind="stable")[:COMMON].tolist()
    shares = tuple((token, int(counts[token]) / total) for token in common if counts[token])
    return TokenFigures(int((counts > 0).sum()), shares)


def _step_figures(lengths: ColumnTally, room: int | None) -> StepFigures | None:
    if not room or not lengths.rows:
        return None
    figures = lengths.together()
    return StepFigures(room, figures, (figures.mean or 0) / room)


def _by_split(
    block: "np.ndarray[Any, Any]", part: str, start: int, splits: "Mapping[str, np.ndarray[Any, Any]] | None"
) -> "dict[str, np.ndarray[Any, Any]]":
    if splits is None:
        return {part or "all": block}
    return {split: block[inside[start : start + len(block)]] for split, inside in splits.items()}


def _class_counts(labels: "np.ndarray[Any, Any]", asked: Asked) -> "np.ndarray[Any, Any]":
    """Count the rows of each class; values outside the classes are left out, `check` names them."""
    count = len(asked.classes)
    if asked.task is Task.MULTILABEL:
        ones: np.ndarray[Any, Any] = (labels == 1).reshape(-1, count).sum(0)
        return ones
    flat = labels.reshape(-1).astype(np.int64)
    return np.bincount(flat[(flat >= 0) & (flat < count)], minlength=count)
