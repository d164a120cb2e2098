from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.folds import digest
from dlcli.contracts.task import Task
from dlcli.data.kfold import FoldPlan, cross_validation, fold_rows, make_folds
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
    rounds = cross_validation(dataset, FoldPlan(5), seed=3, inner=0.2)
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
    for fold in cross_validation(digits, FoldPlan(3), seed=0, inner=None):
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
        cross_validation(dataset, FoldPlan(2), seed=0, inner=0.1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6),
    st.integers(1, 3),
    st.sampled_from(["kfold", "stratified", "grouped"]),
    st.integers(0, 2**32),
    st.sampled_from([None, 0.2]),
)
def test_any_folds_are_partitions_and_a_function_of_the_seed(count, repeats, kind, seed, inner):
    dataset = made(np.arange(180) % 3, classes=("a", "b", "c"), groups=np.arange(180) // 5, test=30)
    plan = FoldPlan(count, kind, repeats=repeats)
    rows = fold_rows(dataset)
    folds = cross_validation(dataset, plan, seed=seed, inner=inner)
    assert len(folds) == count * repeats
    for repeat in range(repeats):
        assert_partition([fold.held_out for fold in folds[repeat * count : (repeat + 1) * count]], rows)
    for fold in folds:
        parts = [part for part in (fold.held_out, fold.training, fold.validation) if part is not None]
        assert_partition(parts, rows)
        if kind == "grouped":
            of_part = [set((part // 5).tolist()) for part in parts]
            assert sum(map(len, of_part)) == len(set().union(*of_part))
    assert digest(folds) == digest(cross_validation(dataset, plan, seed=seed, inner=None))
    others = [cross_validation(dataset, plan, seed=seed + 1, inner=inner), folds[::-1]]
    assert digest(folds) not in map(digest, others)
    firsts = {tuple(folds[repeat * count].held_out.tolist()) for repeat in range(repeats)}
    assert len(firsts) == repeats


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("count", "rows"), [(2, 30), (5, 47), (4, 20)])
def test_folds_in_the_order_of_time_are_those_of_scikit_learn(count, rows, gap):
    dataset = made(torch.zeros(rows, 1), task=Task.REGRESSION)
    theirs = list(TimeSeriesSplit(count, gap=gap).split(np.zeros(rows)))
    ours = cross_validation(dataset, FoldPlan(count, "time_ordered", gap=gap), seed=0, inner=None)
    for fold, (training, held_out) in zip(ours, theirs, strict=True):
        assert fold.training.tolist() == training.tolist()
        assert fold.held_out.tolist() == held_out.tolist()
    if rows // (count + 1) > 8:
        for fold in cross_validation(dataset, FoldPlan(count, "time_ordered", gap=gap), seed=0, inner=0.2):
            assert fold.training.max() + gap < fold.validation.min()
            assert fold.validation.max() + gap < fold.held_out.min()


def test_a_fold_for_each_group_as_scikit_learn_makes_them():
    groups = np.random.default_rng(0).integers(0, 7, 60) * 3
    dataset = made(torch.zeros(60, 1), task=Task.REGRESSION, groups=groups)
    theirs = LeaveOneGroupOut().split(groups, groups=groups)
    ours = cross_validation(dataset, FoldPlan(7, "leave_one_group_out"), seed=0, inner=None)
    for fold, (training, held_out) in zip(ours, theirs, strict=True):
        assert fold.training.tolist() == training.tolist()
        assert fold.held_out.tolist() == held_out.tolist()
    with pytest.raises(DataError, match="makes one fold of each group; there are 7, got 5 folds: set --kfold 7"):
        cross_validation(dataset, FoldPlan(5, "leave_one_group_out"), seed=0, inner=None)


def test_repeats_are_as_even_as_those_of_scikit_learn(digits):
    rows, labels = fold_rows(digits), digits.tensors["y"]
    ours = cross_validation(digits, FoldPlan(4, repeats=3), seed=0, inner=None)
    oracle = list(RepeatedStratifiedKFold(n_splits=4, n_repeats=3, random_state=0).split(rows, labels[rows]))
    assert [len(fold.held_out) for fold in ours] == pytest.approx([len(held_out) for _, held_out in oracle], abs=4)
    first = cross_validation(digits, FoldPlan(4), seed=0, inner=None)
    assert all(torch.equal(a.held_out, b.held_out) for a, b in zip(ours, first, strict=False))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (FoldPlan(3, "grouped"), "grouped folds need to know the group of each row"),
        (FoldPlan(3, "leave_one_group_out"), "leave_one_group_out folds need to know the group"),
        (FoldPlan(3, "stratified"), "stratified folds need one class a row"),
        (FoldPlan(3, "time_ordered", repeats=2), "time_ordered folds are the same every time: leave out repeats"),
        (FoldPlan(3, "kfold", gap=2), "a gap is for time_ordered folds alone, got 2 for kfold"),
        (FoldPlan(3, "time_ordered", gap=40), "20 training and validation rows are too few for 3 time_ordered folds"),
    ],
)
def test_kinds_that_the_data_cannot_be_divided_in(plan, message):
    with pytest.raises(DataError, match=message):
        cross_validation(made(torch.zeros(20, 1), task=Task.REGRESSION), plan, seed=0, inner=None)


def test_too_few_early_rows_to_choose_an_epoch_by():
    dataset = made(torch.zeros(8, 1), task=Task.REGRESSION)
    with pytest.raises(DataError, match="leave nothing to train on beside 1 to choose the best epoch by"):
        cross_validation(dataset, FoldPlan(3, "time_ordered", gap=1), seed=0, inner=0.5)
