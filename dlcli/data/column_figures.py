"""Figures of columns from blocks of their rows: extremes, means, what is missing, and how values are spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.contracts.randomness import derive

BARS = 20
"""Most bars of a histogram."""
SAMPLE_ROWS, SAMPLE_BYTES = 4096, 8 * 2**20
"""A histogram is that of so many rows, drawn at random from those that were read; fewer where rows are large."""


@dataclass(frozen=True)
class ColumnFigures:
    """What the values of one column are like.

    Args:
        name: Its name; its number where it has none; empty for all columns together.
        minimum: Smallest finite value; None where there is none.
        mean: Mean of the finite values.
        maximum: Largest finite value.
        missing: Share of NaN and infinite values, in [0, 1].
        histogram: How many sampled values lie in each of as many equal parts from minimum to maximum; of whole
            numbers in a small range, how many have each value.
    """

    name: str
    minimum: float | None
    mean: float | None
    maximum: float | None
    missing: float
    histogram: tuple[int, ...]


class ColumnTally:
    """Takes blocks of rows, keeps sums and a sample.

    Args:
        columns: How many columns C there are.
        seed: What decides which rows are sampled.
    """

    def __init__(self, columns: int, seed: int = 0) -> None:
        self._minimum, self._maximum = np.full(columns, np.inf), np.full(columns, -np.inf)
        self._sum, self._count = np.zeros(columns), np.zeros(columns, np.int64)
        self._generator = np.random.default_rng(derive(seed, "sample of rows"))
        self._keys = np.empty(0)
        self._sample: np.ndarray[Any, Any] | None = None
        self.rows = 0

    def add(self, values: "np.ndarray[Any, Any]") -> None:
        """Count some rows.

        Args:
            values: (R, C), booleans, integers or floats.
        """
        self.rows += len(values)
        if not values.size:
            return
        self._keep(values)
        with np.errstate(over="ignore", invalid="ignore"):  # sums of the largest floats are infinite
            if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
                self._count += finite.sum(0)
                self._sum += np.where(finite, values, 0).sum(0, dtype=np.float64)
                low, high = np.where(finite, values, np.inf).min(0), np.where(finite, values, -np.inf).max(0)
            else:
                self._count += len(values)
                self._sum += values.sum(0, dtype=np.float64)
                low, high = values.min(0), values.max(0)
        self._minimum, self._maximum = np.minimum(self._minimum, low), np.maximum(self._maximum, high)

    def _keep(self, values: "np.ndarray[Any, Any]") -> None:
        """Keep the rows of the smallest random keys, which are a sample without regard to order."""
        most = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // max(1, values[0].nbytes)))
        keys = self._generator.random(len(values))
        if self._sample is None:
            self._sample = values[:0]
        if len(self._keys) == most:
            below = keys < self._keys.max()
            keys, values = keys[below], values[below]
        keys, rows = np.concatenate([self._keys, keys]), np.concatenate([self._sample, values])
        chosen = np.argpartition(keys, most)[:most] if len(keys) > most else np.arange(len(keys))
        self._keys, self._sample = keys[chosen], rows[chosen]

    def columns(self, names: Sequence[str] = ()) -> tuple[ColumnFigures, ...]:
        """Return the figures of every column.

        Args:
            names: Their names; numbers stand for them where there are none.

        Returns:
            One of each column.
        """
        if self._sample is None:
            return ()
        histograms = _histograms(self._sample, self._minimum, self._maximum)
        return tuple(
            ColumnFigures(
                name=names[column] if column < len(names) else str(column),
                minimum=float(self._minimum[column]) if count else None,
                mean=float(self._sum[column]) / count if count else None,
                maximum=float(self._maximum[column]) if count else None,
                missing=1 - count / self.rows,
                histogram=histogram,
            )
            for column, (count, histogram) in enumerate(zip(self._count.tolist(), histograms, strict=True))
        )

    def together(self) -> ColumnFigures:
        """Return the figures of all columns as one."""
        count = int(self._count.sum())
        if self._sample is None or not count:
            return ColumnFigures("", None, None, None, float(self.rows > 0), ())
        low, high = self._minimum.min(), self._maximum.max()
        return ColumnFigures(
            name="",
            minimum=float(low),
            mean=float(self._sum.sum()) / count,
            maximum=float(high),
            missing=1 - count / (self.rows * len(self._count)),
            histogram=_histograms(self._sample.reshape(-1, 1), np.array([low]), np.array([high]))[0],
        )


def _histograms(
    sample: "np.ndarray[Any, Any]", minimum: "np.ndarray[Any, Any]", maximum: "np.ndarray[Any, Any]"
) -> list[tuple[int, ...]]:
    """Return the histogram of every column of a sample (S, C), each from its smallest to its largest value."""
    found: list[tuple[int, ...]] = []
    together = max(1, 2**20 // max(1, len(sample)))  # columns whose temporaries are small
    for first in range(0, sample.shape[1], together):
        part = sample[:, first : first + together].astype(np.float64)
        low, high = (ends[first : first + together] for ends in (minimum, maximum))
        any_finite = high >= low
        low, span = np.where(any_finite, low, 0), np.where(any_finite, high / 2 - low / 2, 0)  # halves do not overflow
        bars = np.full(part.shape[1], BARS)
        if sample.dtype.kind in "bui":
            bars = np.minimum(bars, span * 2 + 1).astype(np.int64)
        bars = np.where(span > 0, bars, 1)
        # Of a few whole numbers each is in the middle of its bar.
        places = (part / 2 - low / 2) / np.where(span > 0, span, 1) * np.where(bars < BARS, bars - 1, bars)
        places = np.where(bars < BARS, np.rint(places), np.floor(places))
        finite = np.isfinite(part)
        places = np.clip(np.where(finite, places, 0), 0, bars - 1).astype(np.int64)
        places += np.arange(part.shape[1]) * BARS
        counts = np.bincount(places[finite], minlength=BARS * part.shape[1]).reshape(-1, BARS).tolist()
        found += [tuple(row[:count]) for row, count in zip(counts, bars.tolist(), strict=True)]
    return found
