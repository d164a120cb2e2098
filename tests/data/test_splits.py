"""Splits that are made: laws of the division, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data.folds import shuffle_split
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=200).map(torch.tensor)
SHARES = st.fixed_dictionaries({"test": st.floats(0.01, 0.45), "val": st.floats(0.01, 0.45)})
SEEDS = st.integers(0, 2**31)


def division(rows: torch.Tensor, splits: dict[str, torch.Tensor]) -> None:
    """Assert that the splits divide the rows, each sorted and none empty."""
    assert torch.cat(list(splits.values())).sort().values.equal(rows.sort().values)
    assert all(len(part) for part in splits.values())
    assert all(part.equal(part.sort().values) for part in splits.values())


@given(count=st.integers(3, 300), shares=SHARES, seed=SEEDS)
@settings(max_examples=50)
def test_plain_division(count: int, shares: dict[str, float], seed: int) -> None:
    rows = torch.arange(count) * 3 + 1
    splits = shuffle_split(rows, shares, seed)
    division(rows, splits)
    for name, share in shares.items():
        assert abs(len(splits[name]) - share * count) <= 1


@given(labels=LABELS, share=st.floats(0.01, 0.6), other=st.floats(0.01, 0.09), seed=SEEDS)
@settings(max_examples=100)
def test_classes_keep_their_shares(labels: torch.Tensor, share: float, other: float, seed: int) -> None:
    counts = torch.bincount(labels, minlength=5)
    labels = labels[(counts[labels] >= 5)]
    if not len(labels):
        return
    rows = torch.randperm(len(labels) * 2)[: len(labels)]
    splits = shuffle_split(rows, {"val": share, "test": other}, seed, classes=labels)
    division(rows, splits)
    label_of = dict(zip(rows.tolist(), labels.tolist(), strict=True))
    for label in set(label_of.values()):
        total = sum(value == label for value in label_of.values())
        for name, wanted in (("val", share), ("test", other)):
            found = sum(label_of[row] == label for row in splits[name].tolist())
            assert abs(found - wanted * total) <= 1 or found == total - 1
        assert any(label_of[row] == label for row in splits["train"].tolist())


@given(groups=st.lists(st.integers(-9, 9), min_size=3, max_size=100).map(torch.tensor), shares=SHARES, seed=SEEDS)
@settings(max_examples=100)
def test_groups_never_straddle(groups: torch.Tensor, shares: dict[str, float], seed: int) -> None:
    rows = torch.arange(len(groups))
    if len(groups.unique()) < 3:
        with pytest.raises(
            ValueError, match=r"groups are too few for 3 splits \(train, (test, val|val, test)\); groups stay whole"
        ):
            shuffle_split(rows, shares, seed, groups=groups)
        return
    splits = shuffle_split(rows, shares, seed, groups=groups)
    division(rows, splits)
    held = [set(groups[part].tolist()) for part in splits.values()]
    assert sum(map(len, held)) == len(groups.unique())


def test_groups_come_near_to_their_share() -> None:
    groups = torch.arange(1000) // 10
    for seed in range(20):
        assert len(shuffle_split(torch.arange(1000), {"val": 0.2}, seed, groups=groups)["val"]) == 200


def test_only_seed_and_rows_decide() -> None:
    rows = torch.arange(50)
    first = shuffle_split(rows, {"val": 0.2}, 1)["val"]
    torch.manual_seed(99)
    assert first.equal(shuffle_split(rows, {"val": 0.2}, 1)["val"])
    assert not first.equal(shuffle_split(rows, {"val": 0.2}, 2)["val"])


def test_one_row_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match=r"1 rows are too few for val, 0\.2 of them; use fewer splits or more rows"):
        shuffle_split(torch.tensor([0]), {"val": 0.2}, 0)


def test_default_is_a_fifth_of_each_class(labelled: Write) -> None:
    dataset = read_dataset(labelled(train=50), seed=3)
    labels = dataset.tensors["y"].flatten()
    assert [int((labels[dataset.splits["val"]] == label).sum()) for label in (0, 1)] == [5, 5]
    assert read_dataset(labelled(train=50), seed=3).splits["val"].equal(dataset.splits["val"])
    assert not read_dataset(labelled(train=50), seed=4).splits["val"].equal(dataset.splits["val"])


def test_missing_splits_come_from_training_rows_alone(labelled: Write) -> None:
    dataset = read_dataset(labelled(train=20, test=6), val=0.5)
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {"train": 10, "val": 10, "test": 6}
    assert dataset.splits["test"].tolist() == list(range(20, 26))
    both = read_dataset(labelled(train=20), val=0.1, test=0.3).splits
    assert {name: len(rows) for name, rows in both.items()} == {"train": 12, "val": 2, "test": 6}
    assert list(read_dataset(labelled(train=20), val=0).splits) == ["train"]


def test_group_field_keeps_groups_whole(write: Write) -> None:
    groups = np.repeat(np.arange(10), 4)
    path = write(
        {"x": np.zeros((40, 2)), "y": np.arange(40) % 2, "patient": groups},
        y={"classes": ["no", "yes"]},
        patient={"role": "group"},
    )
    splits = read_dataset(path).splits
    assert len(splits["val"]) == 8
    assert not set(groups[splits["train"]]) & set(groups[splits["val"]])
    with pytest.raises(DataError, match=r"divides by class, but groups stay whole.*; remove data\.split\.stratify"):
        read_dataset(path, stratify=True)


def test_too_few_groups(write: Write) -> None:
    path = write({"x": np.zeros((4, 2)), "y": np.ones(4), "g": np.ones(4, int)}, g={"role": "group"})
    with pytest.raises(DataError, match=r"data\.split: 1 groups are too few for 2 splits \(train, val\)"):
        read_dataset(path)


def test_share_for_a_split_that_is_there(labelled: Write) -> None:
    path = labelled(train=20, val=6, test=6)
    with pytest.raises(DataError, match=r"has its own val split \(6 rows\), so data\.split\.val = 0\.1 .* remove data"):
        read_dataset(path, val=0.1)
    with pytest.raises(DataError, match=r"remove data\.split\.test"):
        read_dataset(path, test=0.1)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"val": 1.0}, r"data\.split\.val is a share of the training rows in \[0, 1\); got 1"),
        ({"test": -0.1}, r"data\.split\.test is a share of the training rows in \[0, 1\); got -0\.1"),
        ({"val": 0.5, "test": 0.5}, r"data\.split leaves no training rows: .* add up to 1; use less"),
    ],
)
def test_shares_out_of_range(labelled: Write, shares: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(labelled(train=20), **shares)


def test_class_with_one_row(labelled: Write) -> None:
    path = labelled(("a", "b", "c"), train=4)
    with pytest.raises(DataError, match=r"class 'b', 'c' has one training row.*set data\.split\.stratify = false"):
        read_dataset(path)
    assert len(read_dataset(path, stratify=False).splits["val"]) == 1


def test_too_few_rows(labelled: Write) -> None:
    with pytest.raises(DataError, match=r"data\.split: 1 rows are too few for val"):
        read_dataset(labelled(train=1), stratify=False)


def test_nothing_to_stratify_by(write: Write) -> None:
    path = write({"x": np.zeros((9, 2)), "y": np.ones(9)})
    with pytest.raises(DataError, match=r"a target of task regression has none; remove data\.split\.stratify"):
        read_dataset(path, stratify=True)
    assert len(read_dataset(path).splits["val"]) == 2
