"""Whether a target is an input one step ahead, as where a language model predicts the next token."""

from pathlib import Path

import numpy as np

from dlcli.data.hdf5 import open_hdf5
from dlcli.data.inspection import inspect

ROWS = 256
"""Rows that are looked at."""


def predicts_next_step(path: Path) -> bool:
    """Return whether the target of each step is what an input holds at the step after it.

    A network for such data must not see the steps behind the one that it answers: it would copy its answer from them.
    Padding, behind a row's length, is not compared; of long files the first rows are.

    Args:
        path: The dataset file.

    Returns:
        False also where the file has no target, or one without steps, or all steps are alike.

    Raises:
        DataError: It cannot be opened as HDF5.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, {})
        target = inspection.target
        if target is None or not target.row_shape or not target.first.shape[0]:
            return False
        answers = target.first[:ROWS]
        for field in inspection.by_role("input"):
            if field.row_shape != target.row_shape or field.rows != target.rows:
                continue
            rows, steps = field.first[:ROWS], field.row_shape[0]
            lengths = np.full(len(rows), steps)
            for length in inspection.by_role("length"):
                if length.of == field.name:
                    lengths = length.first[:ROWS].reshape(len(rows))
            compared = np.arange(1, steps) < lengths[:, None]
            ahead, same = (answers[:, :-1] == read for read in (rows[:, 1:], rows[:, :-1]))
            if compared.any() and ahead[compared].all() and not same[compared].all():
                return True
    return False
