"""Figures from blocks are those of all rows; samples are fair."""

import numpy as np
import pytest

from dlcli.data.column_figures import ColumnTally


def tallied(values: np.ndarray, block: int) -> ColumnTally:
    tally = ColumnTally(values.shape[1])
    for start in range(0, len(values), block):
        tally.add(values[start : start + block])
    return tally


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float64"])
def test_blocks_give_the_figures_of_the_whole(block: int, dtype: str) -> None:
    values = (np.random.default_rng(1).normal(size=(1000, 3)) * [1, 3, 40] + 5).clip(0, 200).astype(dtype)
    tally = tallied(values, block)
    for column, found in enumerate(tally.columns()):
        one = values[:, column].astype(float)
        assert (found.minimum, found.maximum, found.missing) == (one.min(), one.max(), 0)
        assert found.mean == pytest.approx(one.mean())
        whole = dtype.startswith(("bool", "uint", "int")) and np.ptp(one) < 20
        edges = np.arange(one.min() - 0.5, one.max() + 1) if whole else 20
        assert found.histogram == tuple(np.histogram(one, edges)[0])
    assert tally.together().mean == pytest.approx(values.mean())
    assert sum(tally.together().histogram) == 3000


def test_a_sample_is_of_all_rows_alike() -> None:
    tally = tallied(np.arange(100_000.0)[:, None], 1000)
    histogram = np.array(tally.columns()[0].histogram)
    assert histogram.sum() == 4096
    assert np.abs(histogram - 4096 / 20).max() < 5 * np.sqrt(4096 / 20)


def test_the_largest_numbers_do_not_overflow() -> None:
    found = tallied(np.array([[-1.7e308], [1.7e308], [np.inf], [np.nan]]), 2).columns()[0]
    assert (found.minimum, found.mean, found.maximum, found.missing) == (-1.7e308, 0, 1.7e308, 0.5)
    assert found.histogram == (1, *[0] * 18, 1)


def test_constants_and_nothing() -> None:
    assert tallied(np.full((5, 1), 3.5), 2).columns()[0].histogram == (5,)
    nothing = tallied(np.full((5, 1), np.nan), 2)
    assert (nothing.columns()[0].histogram, nothing.columns()[0].minimum) == ((0,), None)
    assert (nothing.together().missing, nothing.together().mean) == (1, None)
    assert ColumnTally(2).columns() == ()
