"""What `impute` and `quantile` fit: the values of each column in order, or so many of them that stand for all."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

VALUES, LEAST_ROWS = 2**22, 1024
"""Values kept of all columns together, and of one column at least: 4 million values of 10 columns are 420 000 rows."""


def sample_of(rows: Tensor) -> dict[str, Tensor]:
    """Return the sample of a chunk.

    A sample holds for every column `count`, how many values it stands for, and `sample`, values in ascending order, NaN
    behind the last. Up to K = max(1024, 2^22 / F) values of a column are all kept. Of more, K are: those in the middle
    of K parts of equal weight; a rank is then wrong by 1 / (2K) of all values at most, once more for each merge.

    Args:
        rows: (N, F); NaN is left out.

    Returns:
        `count` (F,) and `sample` (≤ K, F), float64.
    """
    ordered = _sorted(rows.double())
    count, most = (~ordered.isnan()).double().sum(0), _most(rows)
    if len(ordered) > most:
        places = _middles(most, count).floor().long().clamp(max=len(ordered) - 1).T
        ordered = torch.where(count > most, ordered.gather(0, places), ordered[:most])
    return _state(count, ordered)


def merged_samples(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the samples of two chunks."""
    values, count = torch.cat([first["sample"], second["sample"]]), first["count"] + second["count"]
    most = _most(values)
    if len(values) <= most:
        return _state(count, _sorted(values))
    weights = torch.cat([_weights(part["sample"], part["count"]) for part in (first, second)])
    columns = values.T.contiguous()
    order = torch.from_numpy(np.argsort(columns.numpy(), axis=1))  # NaN comes last
    reached = weights.T.gather(1, order).cumsum(1)
    places = torch.searchsorted(reached, _middles(most, count)).clamp(max=len(values) - 1)
    ordered = columns.gather(1, torch.where((count > most).unsqueeze(1), order.gather(1, places), order[:, :most]))
    return _state(count, ordered.T)


def quantiles_of(state: Mapping[str, Tensor], levels: Tensor) -> Tensor:
    """Return quantiles of each column, linear between neighbours, as `numpy.nanquantile`.

    Args:
        state: A sample; every column has a value.
        levels: In [0, 1], float64 (Q,).

    Returns:
        (Q, F), float64.
    """
    sample = state["sample"]
    last = (~sample.isnan()).sum(0) - 1
    place = levels.unsqueeze(1) * last
    below = place.floor().long()
    above = torch.minimum(below + 1, last)
    low, high = sample.gather(0, below), sample.gather(0, above)
    return torch.lerp(low, high, place - below)


def _weights(sample: Tensor, count: Tensor) -> Tensor:
    """Return how many values each value of a sample stands for; 0 for NaN."""
    there = (~sample.isnan()).double()
    return there * (count / there.sum(0).clamp(min=1))


def _most(values: Tensor) -> int:
    return max(LEAST_ROWS, VALUES // values.shape[1])


def _sorted(values: Tensor) -> Tensor:
    """Return columns in ascending order, NaN last; NumPy is ten times as quick at it as torch."""
    return torch.from_numpy(np.sort(values.T.contiguous().numpy(), axis=1)).T


def _middles(parts: int, count: Tensor) -> Tensor:
    """Return the middles of equal parts of each column's weight (F, parts)."""
    return (torch.arange(parts, dtype=torch.float64) + 0.5) / parts * count.unsqueeze(1)


def _state(count: Tensor, ordered: Tensor) -> dict[str, Tensor]:
    """Return a sample without the rows behind the longest column."""
    longest = int((~ordered.isnan()).sum(0).max())
    return {"count": count, "sample": ordered[:longest].clone()}
