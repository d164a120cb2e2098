from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GroupKFold, StratifiedKFold

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.kfold import cross_validation, fold_rows, make_folds
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


@pytest.fixture(scope="module")
def digits():
    return read_dataset(DIGITS)


def made(target, *, task=Task.MULTICLASS, classes=(), groups=None, test=0):
    """A dataset of which the last rows are for testing."""
    target = torch.as_tensor(target)
    rows = len(target)
    fields = {"y": Field("y", "target", "categorical", tuple(target.shape[1:]), str(target.dtype), classes=classes)}
    tensors = {"y": target}
    if groups is not None:
        fields["g"] = Field("g", "group", "categorical", (), "int64")
        tensors["g"] = torch.as_tensor(groups)
    splits = {"train": torch.arange(rows - test)}
    if test:
        splits["test"] = torch.arange(rows - test, rows)
    return Dataset(fields, tensors, splits, task, False, "")


def folds_of(dataset, count=5, seed=0, **options):
    return make_folds(dataset, fold_rows(dataset), count, seed=seed, **options).held_out


def assert_partition(parts, rows):
    assert torch.equal(torch.cat(list(parts)).sort().values, rows.sort().values)


def test_folds_are_all_rows_but_the_test_rows(digits):
    rows = fold_rows(digits)
    assert len(rows) == 1797 - 270
    assert not torch.isin(rows, digits.splits["test"]).any()
    assert_partition(folds_of(digits), rows)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_classes_are_spread_at_least_as_evenly_as_scikit_learn_does(digits, count):
    rows, labels = fold_rows(digits), digits.tensors["y"]
    ours = np.array([np.bincount(labels[fold], minlength=10) for fold in folds_of(digits, count)])
    oracle = StratifiedKFold(count, shuffle=True, random_state=0).split(rows, labels[rows])
    theirs = np.array([np.bincount(labels[rows][held_out], minlength=10) for _, held_out in oracle])
    assert np.ptp(ours, axis=0).max() <= 1
    assert (np.ptp(ours, axis=0) <= np.ptp(theirs, axis=0)).all()
    assert np.ptp(ours.sum(1)) <= 1


def test_folds_are_shuffled_and_a_function_of_the_seed(digits):
    first, again, other = folds_of(digits), folds_of(digits), folds_of(digits, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    rows = fold_rows(digits)
    assert torch.isin(first[0], rows[: len(rows) // 2]).float().mean() == pytest.approx(0.5, abs=0.15)


def test_regression_folds_are_plainly_shuffled():
    target = torch.from_numpy(load_diabetes().target).float().unsqueeze(1)
    dataset = made(target, task=Task.REGRESSION, test=42)
    folds = folds_of(dataset, 7)
    assert_partition(folds, torch.arange(400))
    assert {len(fold) for fold in folds} == {57, 58}


def test_groups_stay_whole_and_are_balanced_as_scikit_learn_does():
    groups = np.random.default_rng(0).geometric(0.05, 400)
    dataset = made(np.arange(400) % 3, classes=("a", "b", "c"), groups=groups)
    folds = folds_of(dataset, 4)
    assert_partition(folds, torch.arange(400))
    of_fold = [set(groups[fold.numpy()]) for fold in folds]
    assert not any(of_fold[i] & of_fold[j] for i in range(4) for j in range(i))
    theirs = [len(held_out) for _, held_out in GroupKFold(4).split(groups, groups=groups)]
    assert sorted(map(len, folds)) == sorted(theirs)
    assert not all(torch.equal(a, b) for a, b in zip(folds, folds_of(dataset, 4, seed=1), strict=True))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_inner_part_is_of_the_folds_own_training_rows(digits, grouped):
    dataset = digits
    if grouped:
        dataset = made(np.arange(300) % 3, classes=("a", "b", "c"), groups=np.arange(300) // 7)
    labels = dataset.tensors["y"]
    rounds = cross_validation(dataset, 5, seed=3, inner=0.2)
    for fold, outer in zip(rounds, folds_of(dataset, seed=3), strict=True):
        assert torch.equal(fold.held_out, outer)
        assert_partition((fold.held_out, fold.training, fold.validation), fold_rows(dataset))
        own = len(fold.training) + len(fold.validation)
        assert len(fold.validation) / own == pytest.approx(0.2, abs=0.02)
        if grouped:
            groups = [set(dataset.tensors["g"][part].tolist()) for part in (fold.training, fold.validation)]
            assert not groups[0] & groups[1]
        else:
            shares = [np.bincount(labels[part], minlength=10) for part in (fold.training, fold.validation)]
            assert np.abs(shares[1] - 0.2 * (shares[0] + shares[1])).max() < 1
    assert not torch.equal(rounds[0].validation, rounds[1].validation)


def test_without_an_inner_part_a_fold_trains_on_all_its_rows(digits):
    for fold in cross_validation(digits, 3, seed=0, inner=None):
        assert fold.validation is None
        assert_partition((fold.held_out, fold.training), fold_rows(digits))


def test_more_folds_than_the_smallest_class_has_rows():
    dataset = made([0] * 9 + [1] * 3 + [2] * 9, classes=("ash", "oak", "elm"))
    match = (
        r"class 'oak' has 3 training and validation rows, too few for 5 folds that each hold some of every class; "
        r"take 3 folds at most, add rows, or set data.split.stratify = false"
    )
    with pytest.raises(DataError, match=match):
        folds_of(dataset)
    assert len(folds_of(dataset, 3)) == 3
    assert [len(fold) for fold in folds_of(dataset, stratify=False)] == [5, 4, 4, 4, 4]


def test_a_class_of_one_row():
    with pytest.raises(DataError, match=r"class 'b' has 1 .* some of every class; add rows, or set"):
        folds_of(made([0] * 9 + [1], classes=("a", "b")), 2)


def test_a_class_without_rows_is_no_matter():
    assert len(folds_of(made([0] * 9 + [2] * 9, classes=("a", "b", "c")), 3)) == 3


def test_more_folds_than_groups():
    match = r"4 groups are too few for 5 folds, since groups stay whole; take 4 folds at most, or add groups"
    with pytest.raises(DataError, match=match):
        folds_of(made(np.zeros(40), task=Task.REGRESSION, groups=np.arange(40) % 4))


def test_more_folds_than_rows():
    with pytest.raises(DataError, match="4 training and validation rows cannot make 5 folds; take 4 folds at most"):
        folds_of(made(np.zeros((6, 1)), task=Task.REGRESSION, test=2))


def test_too_few_groups_for_an_inner_part():
    dataset = made(np.zeros((40, 1)), task=Task.REGRESSION, groups=np.arange(40) % 2)
    match = r"2 folds leave too little to choose the best epoch on \(1 groups are too few .*train.select = \"last\""
    with pytest.raises(DataError, match=match):
        cross_validation(dataset, 2, seed=0, inner=0.1)
