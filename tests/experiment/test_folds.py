"""Folds of every kind through runs, and folds as a file of their own."""

import json

import h5py
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

import dlcli
from dlcli.contracts.folds import digest
from dlcli.errors import DataError, RecipeError, UsageError
from dlcli.experiment.data_folds import data_folds
from dlcli.experiment.fold_file import read_folds

ROWS = 120


@pytest.fixture
def data(folder):
    """Two classes that a straight line tells apart, in six groups; the last rows are for test."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 3)).astype("float32")
    with h5py.File(folder / "grouped.h5", "w") as file:
        for split, rows in (("train", slice(0, 90)), ("val", slice(90, 105)), ("test", slice(105, ROWS))):
            file[f"{split}/x"] = x[rows]
            file[f"{split}/y"] = (x[rows, 0] > 0).astype("int64")
            file[f"{split}/place"] = (np.arange(ROWS) % 6)[rows]
            file[f"{split}/y"].attrs["classes"] = ["left", "right"]
            file[f"{split}/place"].attrs["role"] = "group"


@pytest.fixture
def grouped(recipe, data):
    def make(folds, kfold, **tables):
        train = {"epochs": 3, "kfold": kfold, "optimizer": {"name": "adam", "lr": 3e-2}}
        return recipe(data={"path": "grouped.h5", "folds": folds}, train=train, **tables)

    return make


def test_repeats_are_scored_each_over_all_rows(grouped, plugins):
    summary = dlcli.train(grouped({"kind": "stratified", "repeats": 2}, 3), plugins=plugins)
    assert [member.identity for member in summary.population.members] == [f"fold-{number}" for number in range(6)]
    with h5py.File(summary.run / "oof.h5") as file:
        rows, fold = file["rows"][:], file["fold"][:]
        predicted, target = file["probabilities"][:, 0] > 0.5, file["target"][:, 0]
    assert np.array_equal(rows, np.arange(105).repeat(2))
    scores = [accuracy_score(target[fold // 3 == repeat], predicted[fold // 3 == repeat]) for repeat in (0, 1)]
    assert summary.population.out_of_fold["accuracy"] == pytest.approx(np.mean(scores))
    assert dlcli.evaluate(f"{summary.run}@fold-5", split="fold", plugins=plugins).rows == 35
    (note,) = [note for note in summary.notes if "sha256" in note]
    assert note.startswith("3 stratified folds, 2 times, seed 0, sha256 ")
    assert json.loads((summary.run / "run.json").read_text())["folds"]["sha256"].startswith(note[-12:])


def test_in_the_order_of_time_only_later_rows_are_scored(grouped, plugins):
    summary = dlcli.train(grouped({"kind": "time_ordered", "gap": 2}, 4), plugins=plugins)
    with h5py.File(summary.run / "oof.h5") as file:
        assert np.array_equal(file["rows"][:], np.arange(21, 105))
    for fold in read_folds(summary.run / "folds.json"):
        assert fold.training.max() + 2 < fold.validation.min()
        assert fold.validation.max() + 2 < fold.held_out.min()
    combined = dlcli.ensemble(summary.run, f"{summary.run}@fold-3", strategy="voting", plugins=plugins)
    judged = json.loads((combined.run / "run.json").read_text())
    assert judged["status"] == "finished"
    stacked = grouped({"kind": "time_ordered"}, None, ensemble={"strategy": "stacking", "members": 2})
    del stacked["train"]["kfold"]
    with pytest.raises(UsageError, match="stacking needs every training row held out once"):
        dlcli.ensemble(stacked, plugins=plugins)


def test_a_fold_for_each_group(grouped, plugins):
    summary = dlcli.train(grouped("leave_one_group_out", 6), plugins=plugins)
    for number, fold in enumerate(read_folds(summary.run / "folds.json")):
        assert set((fold.held_out % 6).tolist()) == {number}
        assert not set((fold.training % 6).tolist()) & set((fold.validation % 6).tolist())


def test_a_search_on_repeated_folds(grouped, plugins):
    given = grouped({"repeats": 2}, None)
    del given["train"]["kfold"]
    given["tune"] = {"trials": 2, "kfold": 2, "space": {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]}}}
    summary = dlcli.tune(given, plugins=plugins)
    assert len(read_folds(summary.search.run / "folds.json")) == 4


def test_folds_that_were_saved_are_those_of_the_run(grouped, plugins, folder):
    made = data_folds(folder / "grouped.h5", folder / "mine.json", kfold=3, kind="kfold", seed=7)
    assert sum(row.held_out for row in made.folds) == 105
    assert made.sha256 == digest(read_folds(folder / "mine.json"))
    run = dlcli.train(grouped({"file": "mine.json"}, 3), plugins=plugins).run
    folds = read_folds(run / "folds.json")
    assert digest(folds) == made.sha256
    assert all(fold.validation is not None for fold in folds)
    fresh = dlcli.train(grouped("kfold", 3, seed=7), plugins=plugins).run
    assert digest(read_folds(fresh / "folds.json")) == made.sha256
    (folder / "mine.json").unlink()
    again = dlcli.train(run / "recipe.toml", plugins=plugins).run
    assert digest(read_folds(again / "folds.json")) == made.sha256
    assert dlcli.train(resume=again, plugins=plugins).status == "finished"


def test_folds_that_are_not_for_the_data(grouped, plugins, folder):
    data_folds(folder / "grouped.h5", folder / "mine.json", kfold=3, kind="kfold")
    given = grouped({"file": "mine.json"}, 3)
    with pytest.raises(DataError, match=r"mine.json has 3 folds, got 5: set --kfold 3"):
        dlcli.build(grouped({"file": "mine.json"}, 5), plugins=plugins)
    with pytest.raises(RecipeError, match="leave out kind, repeats and gap, or file"):
        dlcli.build(grouped({"file": "mine.json", "repeats": 2}, 3), plugins=plugins)
    table = json.loads((folder / "mine.json").read_text())

    def changed(message, **entries):
        (folder / "mine.json").write_text(json.dumps({**table, **entries}))
        with pytest.raises(DataError, match=message):
            dlcli.build(given, plugins=plugins)

    first, *others = table["folds"]
    leaky = [{**first, "training": [*first["training"], first["held_out"][0]]}, *others]
    tested = [{**first, "held_out": [*first["held_out"], 110]}, *others]
    empty = [{**first, "training": []}, *others]
    changed("was changed: its rows are not those of its sha256", folds=leaky)
    changed("parts of fold 0 share rows", folds=leaky, sha256=None)
    changed("fold 0 has rows that are for test", folds=tested, sha256=None)
    changed("fold 0 holds nothing out, or has nothing to train on", folds=empty, sha256=None)
    changed("is of other data: of 120 rows with the fingerprint 0, expected", fingerprint="0")
    changed("cannot read the folds", folds=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kfold": 1}, "--kfold is 2 at least, got 1"),
        ({"seed": -1}, "--seed is 0 at least, got -1"),
        ({"repeats": 0}, "--repeats is 1 at least, got 0"),
        ({"kind": "loo"}, "--kind is one of kfold, stratified, grouped, leave_one_group_out, time_ordered, got 'loo'"),
        ({"task": "seg"}, "--task is one of .*multiclass.*, got 'seg'"),
    ],
)
def test_numbers_and_names_that_are_none(data, folder, options, message):
    with pytest.raises(UsageError, match=message):
        data_folds(folder / "grouped.h5", **options)


def test_labels_that_are_noise_are_not_learnt(folder, recipe, plugins):
    generator = torch.Generator().manual_seed(0)
    with h5py.File("noise.h5", "w") as file:
        file["x"] = torch.randn(200, 30, generator=generator).numpy()
        file["y"] = torch.randint(2, (200,), generator=generator).numpy()
        file["y"].attrs["classes"] = ["a", "b"]
    train = {"epochs": 20, "kfold": 5, "optimizer": {"name": "adam", "lr": 1e-2}}
    given = recipe(data={"path": "noise.h5", "folds": {"repeats": 3}}, train=train)
    accuracy = dlcli.train(given, plugins=plugins).population.out_of_fold["accuracy"]
    assert abs(accuracy - 0.5) < 0.1  # 200 rows: a standard deviation of 0.035


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "it is not what dlcli data folds writes"),
        ("[]", "it is not what dlcli data folds writes"),
        ("hello", "it is no JSON from line 1, column 1 on"),
        ("", "it is empty"),
        ('{"format": 2}', "it has format 2; this dlcli reads format 1"),
        ('{"format": 1, "folds": {}}', "it has no list of folds"),
        ('{"format": 1, "folds": [{"held_out": [1]}]}', "fold 0 is no table of held_out, training, validation"),
        ('{"format": 1, "folds": [{"held_out": "a", "training": [], "validation": null}]}', "held_out of fold 0: rows"),
        (None, "there is no file of folds .*: dlcli data folds DATA -o .*folds.json"),
    ],
)
def test_what_is_no_file_of_folds(tmp_path, content, message):
    if content is not None:
        (tmp_path / "folds.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_folds(tmp_path / "folds.json")
