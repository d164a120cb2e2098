"""Searches that cannot be, go wrong, or find their files damaged: a clear error, nothing lost."""

import errno
import json
import os

import h5py
import numpy as np
import pytest
from searches import facts, settings
from sklearn.datasets import load_iris

from dlcli.errors import DataError, RecipeError, StorageError, TrainingError, UsageError
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.tune import join, show_space, tune
from dlcli.experiment.tuning.trials import TrialRunner

LR = "train.optimizer.lr"
SPACE = {LR: {"log_uniform": [1e-3, 1e-1]}}
DEEP = {"architecture": "mlp", "hidden": [32, 32, 32]}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.optimizer.lrr": {"uniform": [0, 1]}}, r"unknown key 'lrr'; did you mean 'lr'"),
        ({LR: {"uniform": ["a", 1]}}, r"expected a number, got \"a\""),
        ({"model.activation": {"uniform": [0, 1]}}, r"no number: use choice instead of uniform"),
        ({LR: {"uniform": [1, 1]}}, r"the lowest value must be below the highest, got \[1, 1\]"),
        ({LR: {"uniform": [1, 0.1]}}, r"the lowest value must be below the highest, got \[1, 0\.1\]"),
        ({LR: {"log_uniform": [0, 1]}}, r"a logarithmic range must be > 0 throughout, got \[0, 1\]"),
        ({LR: {"log_uniform": [-1, 1]}}, r"a logarithmic range must be > 0 throughout, got \[-1, 1\]"),
        ({"model.dropout": {"uniform": [0, 1.5]}}, r"1\.5 is refused: expected a number ≥ 0 and < 1"),
        ({"train.batch_size": {"int": [0, 5]}}, r"0 is refused: expected a whole number ≥ 1"),
        ({"train.batch_size": {"uniform": [1, 5]}}, r"use int or log_int instead of uniform"),
        ({"seed": {"int": [0, 5]}}, r"the best seed is luck"),
        ({"train.monitor": {"choice": ["val_loss", "val_accuracy"]}}, r"cannot be tuned"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_anything_begins(folder, tunable, plugins, space, message):
    for use in (tune, show_space):
        with pytest.raises(RecipeError, match=message):
            use(tunable(space), plugins=plugins)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"trials": 0}, RecipeError, r"tune\.trials: expected a whole number ≥ 1, got 0"),
        ({"minutes": 0}, RecipeError, r"tune\.time_minutes: expected a number > 0"),
        ({"stages": 0}, RecipeError, r"tune\.stages: expected a whole number ≥ 1"),
        ({"kfold": 1}, RecipeError, r"tune\.kfold: expected a whole number ≥ 2, got 1"),
        ({"method": "tpee"}, RecipeError, r"unknown search 'tpee'; did you mean 'tpe'"),
        ({"workers": 0}, UsageError, r"workers must be at least 1, got 0"),
        ({"device": "cuda:9"}, RecipeError, r"train\.device"),
        ({"kfold": 400}, DataError, r"class '8' has 148 .* rows, too few for 400 folds"),
    ],
)
def test_options_that_cannot_be(folder, tunable, plugins, options, error, message):
    with pytest.raises(error, match=message):
        tune(tunable(SPACE), plugins=plugins, **options)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"monitor": "val_f1"}, r"'val_f1' is not computed; computed are train_loss, val_loss, val_accuracy"),
        ({"monitor": "train_loss"}, r"'train_loss' would choose the setting that fits the training rows best"),
        ({"seeds": 3}, r"train\.seeds: dlcli tune cannot do this"),
        ({"freeze": "all"}, r"train\.freeze: dlcli tune cannot do this"),
        ({"start_from": "runs/a/0001"}, r"train\.start_from: dlcli tune cannot do this"),
        ({"rows": "train+val"}, r"dlcli tune cannot do this"),
    ],
)
def test_recipes_that_cannot_be_searched(folder, tunable, plugins, train, message):
    with pytest.raises(RecipeError, match=message):
        tune(tunable(SPACE, train=train), plugins=plugins)


def test_without_a_space_there_is_nothing_to_search(folder, tunable, recipe, plugins):
    for found in (recipe(), tunable({})):
        for use in (tune, show_space):
            with pytest.raises(
                UsageError, match=r"(?s)no \[tune\.space\], so there is nothing to search; .*log_uniform"
            ):
                use(found, plugins=plugins)


@pytest.fixture
def iris(tmp_path):
    """Iris in groups of every fourth row."""
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    with h5py.File(tmp_path / "iris.h5", "w") as file:
        train = file.create_group("train")
        train["x"], train["y"], train["group"] = x[order].astype("float32"), y[order], np.arange(150) % 4
        train["y"].attrs.update(role="target", classes=["setosa", "versicolor", "virginica"])
        train["group"].attrs["role"] = "group"
    return {"path": "iris.h5"}


def test_more_folds_than_groups(folder, tunable, plugins, iris):
    with pytest.raises(DataError, match="4 groups are too few for 5 folds, since groups stay whole"):
        tune(tunable(SPACE, data=iris), kfold=5, plugins=plugins)
    outcome = tune(tunable(SPACE, data=iris, trials=2), kfold=3, plugins=plugins)
    folds = json.loads((outcome.search.run / "folds.json").read_text())["folds"]
    with h5py.File("iris.h5") as file:
        groups = file["train/group"][:]
    # The rows of a split made from training rows are numbered as in the file: there is one split in it.
    held_out = [{int(groups[row]) for row in fold["held_out"]} for fold in folds]
    assert sum(map(len, held_out)) == 4


def test_no_validation_rows(folder, tunable, plugins, monkeypatch):
    from dlcli.experiment.tuning import run as tune_run

    read_data = tune_run.read_data

    def without(recipe):
        data = read_data(recipe)
        del data.splits["val"]
        return data

    monkeypatch.setattr(tune_run, "read_data", without)
    with pytest.raises(DataError, match="no validation rows to compare settings by: add a split val, or .*--kfold"):
        tune(tunable(SPACE), plugins=plugins)


def test_when_all_trials_diverge_it_stops_with_advice(folder, tunable, plugins):
    recipe = tunable({LR: {"log_uniform": [1e3, 1e6]}}, trials=40, model=DEEP, train={"optimizer": "sgd"})
    with pytest.raises(TrainingError, match=r"trials failed, most often .* diverged .*narrow the ranges in \[tune"):
        tune(recipe, plugins=plugins)
    assert facts("runs/small/0001")["status"] == "failed"
    assert "narrow the ranges" in facts("runs/small/0001")["error"]
    assert len(list((folder / "runs/small/0001/populations").iterdir())) < 4


@pytest.mark.parametrize("options", [{}, {"kfold": 2}], ids=["split", "folds"])
def test_when_some_trials_fail_they_are_listed_with_the_reason(folder, tunable, plugins, options):
    recipe = tunable({LR: {"log_uniform": [1e-2, 1e9]}}, trials=12, model=DEEP, train={"optimizer": "sgd"})
    outcome = tune(recipe, method="random", plugins=plugins, **options)
    failed = outcome.as_json()["failed"]
    assert 2 <= len(failed) <= 10
    for entry in failed:
        assert "training diverged in epoch" in entry["reason"]
    assert outcome.status == "finished"
    limits = [row.setting[LR] for row in outcome.search.trials if row.state == "finished"]
    assert max(limits) < max(row.setting[LR] for row in outcome.search.trials if row.state == "failed")


def test_values_that_do_not_go_together_fail_their_trial_alone(folder, tunable, plugins):
    space = {"train.batch_size": {"choice": [1, 64]}}
    model = {"architecture": "mlp", "hidden": [8], "norm": "batch"}
    outcome = tune(tunable(space, trials=2, model=model), method="grid", plugins=plugins)
    assert [(row.setting["train.batch_size"], row.state) for row in outcome.search.trials] == [
        (1, "failed"),
        (64, "finished"),
    ]
    assert "train.batch_size: batch normalization needs at least 2 rows" in outcome.search.trials[0].reason


def test_when_memory_runs_out_trials_are_tried_alone(folder, tunable, plugins, monkeypatch):
    from dlcli.experiment.tuning import trials as tune_trials

    fit = tune_trials.fit

    def short(members, *args, **options):
        if len(members) > 1 or members[0].identity == "trial-1":
            raise TrainingError("memory of cpu ran out in epoch 1: 9 GB; try a smaller train.batch_size")
        return fit(members, *args, **options)

    monkeypatch.setattr(tune_trials, "fit", short)
    outcome = tune(tunable(SPACE, trials=3), method="random", plugins=plugins)
    assert [row.state for row in outcome.search.trials] == ["finished", "failed", "finished"]
    assert outcome.search.trials[1].reason.startswith("memory of cpu ran out")
    assert any("its trials are tried one by one" in note for note in outcome.notes)


@pytest.mark.parametrize("after", [3, 8, 12, 14, 17, 20, 26, 34, 45])
def test_a_disk_that_fills_loses_nothing(folder, tunable, plugins, monkeypatch, after):
    recipe = tunable(SPACE, trials=6, population=3, train={"checkpoint_seconds": 0})
    expected = tune(recipe, method="random", name="whole", plugins=plugins)
    fsync, synced = os.fsync, [0]

    def full(descriptor):
        synced[0] += 1
        if synced[0] > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="cannot write .*No space left on device; free some space"):
            tune(recipe, method="random", plugins=plugins)
    found = tune(recipe, method="random", plugins=plugins)
    assert settings(found) == settings(expected)
    assert found.tuned == expected.tuned
    assert not list(folder.rglob(".partial-*"))


@pytest.fixture
def ended(folder, tunable, plugins):
    """A search that has ended, and its recipe."""
    recipe = tunable(SPACE, trials=4, population=2)
    outcome = tune(recipe, method="random", plugins=plugins)
    return outcome.search.run, lambda **options: tune(recipe, method="random", plugins=plugins, **options)


def test_a_torn_journal_is_mended(ended):
    run, again = ended
    with (run / "search.journal").open("a") as file:
        file.write('{"op_code": 4, "stu')
    assert again(trials=6).status == "finished"
    assert all(json.loads(line) for line in (run / "search.journal").read_text().splitlines())


def test_a_journal_of_another_version_is_refused_and_kept(ended):
    run, again = ended
    text = '{"op_code": 99, "worker_id": "a"}\n'
    (run / "search.journal").write_text(text)
    with pytest.raises(DataError, match=r"search\.journal:1 cannot be read as a journal of Optuna 5: .*Move the file"):
        again(trials=6)
    assert (run / "search.journal").read_text() == text
    (run / "search.journal").unlink()
    assert len(again(trials=6).search.trials) == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("search.json", r"search\.json cannot be read as a search"),
        ("populations/0000/plan.json", r"plan\.json is damaged"),
        ("populations/0000/result.json", r"result\.json is damaged"),
        ("stages/1.json", r"1\.json is damaged"),
        ("run.json", r"run\.json"),
    ],
)
@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[]"])
def test_damaged_files_are_told(ended, name, message, text):
    run, again = ended
    (run / name).write_text(text)
    with pytest.raises(DataError, match=message):
        again()
    assert (run / name).read_text() == text


def test_a_recipe_that_was_changed_in_the_run_is_not_joined(ended):
    run, _ = ended
    changed = RunDirectory(run).recipe.read_text().replace("epochs = 2", "epochs = 3")
    RunDirectory(run).recipe.write_text(changed)
    with pytest.raises(UsageError, match=r"recipe\.toml is not what the search began with: change it back"):
        join(run)


def test_folds_of_another_version_of_torch_are_refused(folder, tunable, plugins):
    recipe = tunable(SPACE, trials=2)
    run = tune(recipe, kfold=2, plugins=plugins).search.run
    table = json.loads((run / "folds.json").read_text())
    table["folds"].reverse()
    (run / "folds.json").write_text(json.dumps({**table, "sha256": None}))
    with pytest.raises(DataError, match=r"folds of runs/small/0001 are not those that this machine makes: .*torch"):
        tune(recipe, kfold=2, plugins=plugins)


def test_changed_data_is_refused(folder, tunable, plugins, tmp_path):
    def write(shift):
        with h5py.File(tmp_path / "d.h5", "w") as file:
            file["train/x"] = np.random.default_rng(0).normal(size=(60, 3)).astype("float32") + shift
            file["train/y"] = np.arange(60, dtype="float32")
            file["train/y"].attrs["role"] = "target"

    write(0)
    recipe = tunable(SPACE, trials=2, data={"path": "d.h5"})
    tune(recipe, plugins=plugins)
    write(1)
    with pytest.raises(UsageError, match=r"another recipe: data\.fingerprint: .*--new"):
        tune(recipe, plugins=plugins)


def test_an_error_that_is_a_fault_is_not_hidden(folder, tunable, plugins, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(TrialRunner, "score", broken)
        with pytest.raises(ZeroDivisionError, match="a fault"):
            tune(tunable(SPACE, trials=2), kfold=2, plugins=plugins)
    assert tune(tunable(SPACE, trials=2), kfold=2, plugins=plugins).status == "finished"
