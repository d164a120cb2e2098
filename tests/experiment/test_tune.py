"""A search end to end: its methods, spaces, folds and stages; what a second command does; who may join."""

import json
import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from searches import settings, space_of, truth
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import accuracy_score, log_loss

import dlcli
from dlcli.errors import UsageError
from dlcli.experiment.load import load
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.tune import show_space, tune
from dlcli.experiment.tuning.run import update_run
from dlcli.recipe.load import load_recipe
from dlcli.search.search_file import SearchFile

ONE = {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]}}
TWO = {**ONE, "model.dropout": {"uniform": [0.0, 0.5]}}


def name_of(value):
    return value if isinstance(value, str) else value["name"]


def test_a_search_is_scored_on_the_validation_rows(folder, tunable, plugins):
    outcome = tune(tunable(TWO, trials=5), method="random", plugins=plugins)
    assert outcome.status == "finished"
    assert [row.state for row in outcome.search.trials] == ["finished"] * 5
    best = min(outcome.search.trials, key=lambda row: row.score)
    x, y = truth("val")
    for row in outcome.search.trials:
        found = load(f"{outcome.search.run}@trial-{row.number}", plugins=plugins).probabilities(x).double().numpy()
        assert row.score == pytest.approx(log_loss(y, found / found.sum(1, keepdims=True)), rel=1e-4)
    assert outcome.tuned.score == best.score
    x, y = truth("test")
    found = load(outcome.search.run, plugins=plugins).probabilities(x)
    assert outcome.tuned.test["accuracy"] == pytest.approx(accuracy_score(y, found.argmax(1)))
    assert outcome.untuned.score > best.score


def test_with_folds_a_score_is_the_mean_over_held_out_rows(folder, tunable, plugins):
    recipe = tunable(ONE, trials=3, halving=False, racing=False)
    outcome = tune(recipe, kfold=3, method="random", plugins=plugins)
    run = outcome.search.run
    assert outcome.search.folds == 3
    folds = json.loads((run / "folds.json").read_text())["folds"]
    x, y = truth("train", "val")
    for row in outcome.search.trials:
        assert row.state == "finished"
        assert row.score == pytest.approx(statistics.fmean(row.fold_scores))
        assert row.spread == pytest.approx(statistics.stdev(row.fold_scores))
        kept = load(f"{run}@trial-{row.number}", plugins=plugins)
        assert len(kept.wiring.members) == 3
        for fold, model, score in zip(folds, kept.parts, row.fold_scores, strict=True):
            held_out = torch.tensor(fold["held_out"])
            found = model.probabilities(x[held_out]).double().numpy()
            assert score == pytest.approx(log_loss(y[held_out], found / found.sum(1, keepdims=True)), rel=1e-4)
    assert sorted(row for fold in folds for row in fold["held_out"]) == list(range(len(y)))


@pytest.mark.parametrize("section", [{}, {"kfold": 2}], ids=["five", "tune.kfold"])
def test_kfold_without_a_number(folder, tunable, plugins, section):
    outcome = tune(tunable(ONE, trials=1, **section), kfold=True, plugins=plugins)
    assert outcome.search.folds == section.get("kfold", 5)


@pytest.mark.parametrize("method", ["random", "grid", "tpe", "gp", "cmaes", "quasi_random"])
def test_every_method_tries_settings_of_the_space(folder, tunable, plugins, method):
    outcome = tune(tunable(TWO, trials=12, train={"epochs": 1}), method=method, plugins=plugins)
    assert len(outcome.search.trials) == 12
    assert len({json.dumps(row.setting) for row in outcome.search.trials}) == 12
    for row in outcome.search.trials:
        assert 1e-3 <= row.setting["train.optimizer.lr"] <= 1e-1
        assert 0 <= row.setting["model.dropout"] <= 0.5


def test_a_grid_that_is_used_up_ends_the_search_and_says_so(folder, tunable, plugins):
    outcome = tune(tunable({"model.hidden": {"choice": [[4], [8]]}}, trials=9), method="grid", plugins=plugins)
    assert [row.setting["model.hidden"] for row in outcome.search.trials] == [(4,), (8,)]
    assert outcome.stopped == "grid has nothing else to try, after 2 of 9 trials"


def test_stages_are_short_first_and_narrow(folder, tunable, plugins):
    recipe = tunable(ONE, trials=12, stages=3, population=4, train={"epochs": 6})
    outcome = tune(recipe, method="random", plugins=plugins)
    run = outcome.search.run
    assert SearchFile(run).read().plan.stage_epochs == (1, 2, 6)
    spaces = [space_of(run, stage)["train.optimizer.lr"] for stage in (1, 2, 3)]
    widths = [math.log(space.high / space.low) for space in spaces]
    assert widths[0] > widths[1] > widths[2]
    assert [row.stage for row in outcome.search.trials] == [1] * 4 + [2] * 4 + [3] * 4
    assert outcome.as_json()["best"]["stage"] == 3
    names = {f"small/stage-{stage}" for stage in (1, 2, 3)}
    path = str(run.resolve() / "search.journal")
    assert set(optuna.get_all_study_names(JournalStorage(JournalFileBackend(path)))) == names


def test_conditional_keys_are_tuned_only_where_they_exist(folder, tunable, plugins):
    space = {
        "train.optimizer": {"choice": [{"name": "sgd", "lr": 0.1}, "adam"]},
        "train.optimizer.momentum": {"uniform": [0.1, 0.9], "when": {"train.optimizer": ["sgd"]}},
    }
    outcome = tune(tunable(space, trials=8), method="random", plugins=plugins)
    names = [name_of(row.setting["train.optimizer"]) for row in outcome.search.trials]
    assert set(names) == {"sgd", "adam"}
    for name, row in zip(names, outcome.search.trials, strict=True):
        assert ("train.optimizer.momentum" in row.setting) == (name == "sgd")
    best = load_recipe(outcome.best_recipe, plugins.registry)
    assert best.train.optimizer.name == name_of(outcome.as_json()["best"]["setting"]["train.optimizer"])


@pytest.mark.parametrize(
    ("space", "tables"),
    [
        ({"model.architecture": {"choice": ["mlp", "cnn"]}}, {"model": {"architecture": "mlp"}}),
        ({"model.hidden": {"choice": [[8], [4, 4]]}, "model.activation": {"choice": ["relu", "tanh"]}}, {}),
        ({"train.epochs": {"int": [1, 4]}, "train.batch_size": {"log_int": [32, 128]}}, {}),
        ({"data.preprocess": {"choice": [[], ["standardize"]]}}, {}),
        ({"regularizers.l2.strength": {"log_uniform": [1e-6, 1e-2]}}, {"regularizers": ["l2"]}),
        ({"train.optimizer.lr": {"normal": [0.01, 0.002]}}, {}),
    ],
    ids=["architecture", "structure", "epochs", "preprocess", "regularizer", "normal"],
)
def test_any_key_is_tuned(folder, tunable, plugins, space, tables):
    outcome = tune(tunable(space, trials=6, **tables), method="random", plugins=plugins)
    tried = {json.dumps(row.setting, default=str) for row in outcome.search.trials}
    assert len(tried) > 1
    assert [row.state for row in outcome.search.trials] == ["finished"] * len(outcome.search.trials)
    final = json.loads((outcome.search.run / "run.json").read_text())
    for key in space:
        section, name = key.split(".")[:2]
        if section == "train" and name == "epochs":
            assert 1 <= final["epochs"] <= 4
    assert load(outcome.search.run, plugins=plugins).task == "multiclass"


def test_tuned_epochs_are_trained_and_no_more(folder, tunable, plugins):
    outcome = tune(tunable({"train.epochs": {"choice": [1, 2, 5]}}, trials=3), method="grid", plugins=plugins)
    kept = json.loads((outcome.search.run / "populations/0000/result.json").read_text())["outcomes"]
    wanted = [row.setting["train.epochs"] for row in outcome.search.trials]
    assert sorted(wanted) == [1, 2, 5]
    assert [trial["epochs"] for trial in kept] == wanted


def test_a_monitor_that_grows_is_maximised(folder, tunable, plugins, tmp_path):
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    with h5py.File(tmp_path / "cancer.h5", "w") as file:
        file["train/x"], file["train/y"] = x[order].astype("float32"), y[order]
        file["train/y"].attrs.update(role="target", classes=["malignant", "benign"])
    data = {"path": "cancer.h5", "preprocess": ["standardize"]}
    train = {"epochs": 2, "monitor": "val_accuracy"}
    outcome = tune(tunable(ONE, trials=4, data=data, train=train), kfold=2, plugins=plugins)
    finished = [row.score for row in outcome.search.trials if row.state == "finished"]
    assert outcome.search.direction == "max"
    assert outcome.tuned.score == max(finished)
    assert outcome.tuned.test == {}  # the file has no test rows


def test_regression_too(folder, tunable, plugins, tmp_path):
    x, y = load_diabetes(return_X_y=True)
    with h5py.File(tmp_path / "diabetes.h5", "w") as file:
        for split, rows in (("train", slice(0, 350)), ("test", slice(350, None))):
            file[f"{split}/x"], file[f"{split}/y"] = x[rows].astype("float32"), y[rows].astype("float32")
            file[f"{split}/y"].attrs["role"] = "target"
    outcome = tune(tunable(ONE, trials=2, data={"path": "diabetes.h5"}), plugins=plugins)
    found = load(outcome.search.run, plugins=plugins)(torch.tensor(x[350:], dtype=torch.float32)).detach().numpy()
    assert outcome.tuned.test["loss"] == pytest.approx(np.mean((found.ravel() - y[350:]) ** 2), rel=1e-4)


def test_the_same_command_again_trains_nothing(folder, tunable, plugins, monkeypatch):
    recipe = tunable(ONE, trials=4)
    first = tune(recipe, plugins=plugins)
    before = {path: path.stat().st_mtime_ns for path in first.search.run.rglob("*.safetensors")}

    def nothing(*args, **kwargs):
        raise AssertionError("something is trained")

    monkeypatch.setattr("dlcli.experiment.tuning.trials.fit", nothing)
    monkeypatch.setattr("dlcli.experiment.tuning.final.fit", nothing)
    again = tune(recipe, plugins=plugins)
    whatever = {"notes": [], "seconds": 0}
    assert {**again.as_json(), **whatever} == {**first.as_json(), **whatever}
    assert again.search.seconds == pytest.approx(first.search.seconds, abs=0.3)  # it looked, and trained nothing
    assert {path: path.stat().st_mtime_ns for path in first.search.run.rglob("*.safetensors")} == before
    assert "goes on with runs/small/0001" in again.notes


def test_more_trials_extend_it(folder, tunable, plugins):
    whole = tune(tunable(ONE, trials=8, population=4), method="random", name="whole", plugins=plugins)
    tune(tunable(ONE, trials=4, population=4), method="random", plugins=plugins)
    more = tune(tunable(ONE, trials=4, population=4), trials=8, method="random", plugins=plugins)
    assert more.search.run.name == "0001"
    assert settings(more) == settings(whole)
    assert more.tuned == whole.tuned
    kept = {path.name for path in (more.search.run / "members").iterdir()}
    assert kept == {f"trial-{row.number}" for row in whole.search.trials if row.state == "finished"}


def test_fewer_trials_take_nothing_away(folder, tunable, plugins):
    first = tune(tunable(ONE, trials=5), plugins=plugins)
    again = tune(tunable(ONE, trials=2), plugins=plugins)
    assert settings(again) == settings(first)


def test_a_changed_recipe_is_refused_with_the_difference(folder, tunable, plugins):
    tune(tunable(ONE, trials=2), plugins=plugins)
    with pytest.raises(UsageError, match=r"another recipe: train\.epochs: 2 → 3\. .*--new"):
        tune(tunable(ONE, trials=2, train={"epochs": 3}), plugins=plugins)
    with pytest.raises(UsageError, match=r"tune\.space.*model\.dropout.*--new"):
        tune(tunable(TWO, trials=2), plugins=plugins)
    with pytest.raises(UsageError, match=r"tune\.kfold: .* → 3"):
        tune(tunable(ONE, trials=2), kfold=3, plugins=plugins)
    new = tune(tunable(TWO, trials=2), new=True, plugins=plugins)
    assert str(new.search.run) == "runs/small/0002"
    again = tune(tunable(TWO, trials=2), plugins=plugins)
    assert again.search.run == new.search.run


def test_a_search_does_not_go_on_with_a_plain_run_of_its_name(folder, tunable, plugins):
    recipe = tunable(ONE, trials=2)
    dlcli.train({key: value for key, value in recipe.items() if key != "tune"}, plugins=plugins)
    assert str(tune(recipe, plugins=plugins).search.run) == "runs/small/0002"


def test_the_space_is_shown_without_training(folder, tunable, plugins):
    recipe = tunable(TWO, trials=12)
    shown = show_space(recipe, plugins=plugins)
    assert len(shown) == 10
    assert not (folder / "runs").exists()
    outcome = tune(recipe, method="random", trials=10, plugins=plugins)
    assert [dict(row.setting) for row in outcome.search.trials] == shown


def test_random_draws_from_seed_trial_and_key_alone(folder, tunable, plugins):
    base = [setting["train.optimizer.lr"] for setting in show_space(tunable(ONE, trials=2), plugins=plugins)]
    wider = [setting["train.optimizer.lr"] for setting in show_space(tunable(TWO, trials=2), plugins=plugins)]
    other = [setting["train.optimizer.lr"] for setting in show_space(tunable(ONE, trials=2, seed=1), plugins=plugins)]
    assert base == wider
    assert not set(base) & set(other)


def test_a_best_value_at_the_end_of_its_range_is_told_with_the_line_to_paste(folder, tunable, plugins):
    space = {"train.optimizer.lr": {"log_uniform": [1e-4, 1e-2]}}
    outcome = tune(tunable(space, trials=5), method="grid", plugins=plugins)
    (border,) = outcome.borders
    assert (border.key, border.end, border.toml) == (
        "train.optimizer.lr",
        "high",
        '"train.optimizer.lr" = { log_uniform = [0.0001, 0.1] }',
    )
    assert outcome.as_json()["borders"][0]["toml"] == border.toml


def test_the_python_api_is_the_command(folder, tunable):
    outcome = dlcli.tune(tunable(ONE, trials=2))
    assert outcome.status == "finished"
    assert dlcli.load(outcome.search.run).task == "multiclass"
    assert "tune" in dlcli.__all__


def test_run_json_is_changed_by_several_at_once(folder, tunable, plugins):
    run = RunDirectory(tune(tunable(ONE, trials=1), plugins=plugins).search.run)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(update_run, run, 20.0, **{f"entry-{number}": number}) for number in range(40)]
    assert [each.result() for each in done] == [None] * 40
    assert {f"entry-{number}": number for number in range(40)}.items() <= run.read().items()


def test_time_is_counted_only_while_somebody_works(folder, tunable, plugins):
    recipe = tunable(ONE, trials=2)
    first = tune(recipe, plugins=plugins).search.seconds
    time.sleep(1.2)
    assert tune(recipe, plugins=plugins).search.seconds - first < 0.6


def test_a_search_ends_when_its_time_is_over_and_says_so(folder, tunable, plugins):
    outcome = tune(tunable(ONE, trials=5000, population=4), minutes=0.5 / 60, plugins=plugins)
    tried = len(outcome.search.trials)
    assert 4 <= tried < 5000
    assert outcome.stopped == f"its time is over, after {tried} of 5000 trials"
