"""Rows of every batch of an epoch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.contracts.randomness import stream
from dlcli.data.order import count_steps, epoch_rows
from dlcli.errors import DataError


@given(count=st.integers(1, 120), size=st.integers(1, 50), seed=st.integers(0, 2**62), epoch=st.integers(1, 9))
@settings(max_examples=150)
def test_every_row_once_apart_from_filler(count: int, size: int, seed: int, epoch: int) -> None:
    rows = torch.arange(count) * 7 + 2
    index, weights = epoch_rows(rows, size, seed=seed, epoch=epoch)
    assert index.shape == (count_steps(count, size, False), size)
    assert index.dtype == torch.int64
    counted = torch.ones_like(index, dtype=torch.bool)
    if weights is not None:
        assert count % size
        assert weights.shape == (size,)
        counted[-1] = weights == 1
    else:
        assert count % size == 0
    assert index[counted].sort().values.equal(rows)
    wrapped = index.flatten()[:count]
    assert index.flatten().equal(wrapped[torch.arange(index.numel()) % count])


@given(count=st.integers(1, 120), size=st.integers(1, 50))
@settings(max_examples=50)
def test_drop_last(count: int, size: int) -> None:
    if count < size:
        with pytest.raises(
            DataError, match=rf"leaves no batch: {count} training rows, train\.batch_size {size}; use a"
        ):
            epoch_rows(torch.arange(count), size, seed=0, epoch=1, drop_last=True)
        return
    index, weights = epoch_rows(torch.arange(count), size, seed=0, epoch=1, drop_last=True)
    assert weights is None
    assert index.shape == (count // size, size)
    assert len(index.unique()) == index.numel()


def test_order_is_the_stream_of_seed_and_epoch() -> None:
    rows = torch.arange(100, 150)
    index, _ = epoch_rows(rows, 10, seed=5, epoch=3)
    assert index.flatten().equal(rows[torch.randperm(50, generator=stream(5, "order", 3))])
    assert not index.equal(epoch_rows(rows, 10, seed=5, epoch=4)[0])
    assert not index.equal(epoch_rows(rows, 10, seed=6, epoch=3)[0])
    assert index.flatten().equal(epoch_rows(rows, 25, seed=5, epoch=3)[0].flatten())


def test_no_rows() -> None:
    with pytest.raises(DataError, match="there are no training rows"):
        count_steps(0, 4, False)


def test_balanced_rows_have_every_class_alike():
    """1, 9 and 90 rows of three classes, number 2 without any: each is a third, its rows alike."""
    labels = torch.tensor([1] * 1 + [0] * 9 + [3] * 90)
    rows = torch.arange(100) + 1000
    drawn = torch.cat(
        [epoch_rows(rows, 50, seed=1, epoch=epoch, labels=labels)[0].flatten() - 1000 for epoch in range(1, 301)]
    )
    counts = torch.bincount(drawn, minlength=100).double()
    assert counts.sum() == 30_000
    # Chi-squared over rows, 99 degrees of freedom: beyond 148.2 once in a thousand.
    expected = torch.tensor([1 / 3] * 1 + [1 / 27] * 9 + [1 / 270] * 90, dtype=torch.float64) * 30_000
    assert ((counts - expected).square() / expected).sum() < 148.2


def test_balanced_rows_are_a_function_of_seed_and_epoch_with_steps_as_ever():
    labels, rows = torch.arange(10) % 3, torch.arange(10)
    first, filler = epoch_rows(rows, 4, seed=1, epoch=1, labels=labels)
    assert first.shape == (3, 4)
    assert filler.tolist() == [1, 1, 0, 0]
    assert torch.equal(epoch_rows(rows, 4, seed=1, epoch=1, labels=labels)[0], first)
    others = [epoch_rows(rows, 4, seed=1, epoch=2, labels=labels), epoch_rows(rows, 4, seed=2, epoch=1, labels=labels)]
    assert not any(torch.equal(other[0], first) for other in others)
    assert epoch_rows(rows, 4, seed=1, epoch=1, drop_last=True, labels=labels)[0].shape == (2, 4)
