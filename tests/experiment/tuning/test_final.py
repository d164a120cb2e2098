"""What a search leaves: the final model, `best.toml`, the models of the best trials; and that test rows stay unseen."""

import json
import shutil

import h5py
import pytest
import tomlkit
import torch
from safetensors.torch import load_file
from searches import DIGITS, facts, settings, truth
from sklearn.metrics import accuracy_score

from dlcli.data.batches import InMemoryBatches
from dlcli.errors import DataError, TrainingError, UsageError
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.runs import list_runs, read_run
from dlcli.experiment.train import train
from dlcli.experiment.tune import tune
from dlcli.experiment.tuning.final import FinalModels
from dlcli.recipe.load import load_recipe

SPACE = {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]}, "model.dropout": {"uniform": [0.0, 0.5]}}
TRAIN = {"epochs": 6, "schedule": {"name": "cosine", "warmup_epochs": 1}}
STOPPING = [{"name": "early_stopping", "patience": 2}, {"name": "l2", "strength": 1e-4}]


@pytest.fixture(scope="module")
def kept(tmp_path_factory, plugins):
    """Searches on one split and on folds, which tests only read."""
    folder = tmp_path_factory.mktemp("kept")
    recipe = {
        "name": "kept",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [8], "norm": "batch"},
        "train": {**TRAIN, "optimizer": {"name": "adam", "lr": 3e-3}},
        "regularizers": STOPPING,
        "tune": {"method": "random", "trials": 8, "keep": 2, "space": SPACE},
    }
    return {
        "split": tune(recipe, runs=folder / "runs", name="split", plugins=plugins),
        "folds": tune(recipe, kfold=3, runs=folder / "runs", name="folds", plugins=plugins),
    }


def same_tensors(first, second):
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("kind", ["split", "folds"])
def test_best_toml_gives_the_final_model_to_the_bit(kept, folder, plugins, kind):
    outcome = kept[kind]
    summary = train(outcome.best_recipe, plugins=plugins)
    final = outcome.search.run / "model/model.safetensors"
    assert same_tensors(final, summary.run / "model/model.safetensors")
    assert summary.test == pytest.approx(dict(outcome.tuned.test))


def test_best_toml_says_how_it_was_trained(kept, plugins):
    outcome = kept["split"]
    best = min((row for row in outcome.search.trials if row.state == "finished"), key=lambda row: row.score)
    recipe = load_recipe(outcome.best_recipe, plugins.registry)
    assert recipe.train.optimizer.lr == best.setting["train.optimizer.lr"]
    assert recipe.model.architecture.dropout == best.setting["model.dropout"]
    assert recipe.train.epochs == round(best.epochs) == outcome.tuned.epochs
    assert recipe.train.horizon == 6  # the schedule of the search
    assert recipe.train.rows == "train+val"
    assert recipe.train.select == "last"
    assert [named.id for named in recipe.regularizers] == ["l2"]  # nothing is left to stop by
    assert recipe.tune is None
    document = tomlkit.parse(outcome.best_recipe.read_text())
    assert f"trial {best.number}" in outcome.best_recipe.read_text().splitlines()[0]
    assert document["data"]["fingerprint"] == facts(outcome.search.run)["data"]["fingerprint"]


def test_with_folds_the_epochs_are_the_mean_of_the_best(kept):
    outcome = kept["folds"]
    number = facts(outcome.search.run)["best_trial"]
    epochs = []
    for path in sorted(outcome.search.run.glob("populations/*/result.json")):
        epochs += [e["best_epoch"] for e in json.loads(path.read_text())["outcomes"] if e["trial"] == number]
    assert len(epochs) == 3
    assert outcome.tuned.epochs == round(sum(epochs) / 3)


@pytest.mark.parametrize("kind", ["split", "folds"])
def test_evaluation(kept, plugins, kind):
    run = kept[kind].search.run
    found = evaluate(run, plugins=plugins)
    assert found.metrics == pytest.approx(dict(kept[kind].tuned.test))
    with pytest.raises(UsageError, match="was trained on the validation rows too, so their figures would be too good"):
        evaluate(run, split="val", plugins=plugins)
    seen = evaluate(run, split="train", plugins=plugins)
    assert seen.note == "the model was trained on these rows"
    with pytest.raises(UsageError, match=r"has no member 'trial-99'; there are trial-"):
        evaluate(f"{run}@trial-99", plugins=plugins)


def test_a_member_of_a_search_on_one_split_may_be_judged_by_its_validation_rows(kept, plugins):
    outcome = kept["split"]
    members = facts(outcome.search.run)["members"]
    assert len(members) == 2
    for member in members:
        address = f"{outcome.search.run}@{member['identity']}"
        judged = evaluate(address, split="val", plugins=plugins)
        assert judged.metrics["loss"] == pytest.approx(member["score"], rel=1e-5)
        assert judged.note == "the trials were compared by these rows"
        x, y = truth("test")
        found = evaluate(address, plugins=plugins).metrics["accuracy"]
        assert found == pytest.approx(accuracy_score(y, load(address, plugins=plugins).probabilities(x).argmax(1)))
        assert evaluate(address, split="train", plugins=plugins).note == "the model was trained on these rows"


def test_a_member_of_a_search_on_folds_may_not(kept, plugins):
    run = kept["folds"].search.run
    member = facts(run)["members"][0]["identity"]
    with pytest.raises(UsageError, match="the search's summary has the scores .*--split test takes the test rows"):
        evaluate(f"{run}@{member}", split="val", plugins=plugins)
    with pytest.raises(UsageError, match="is no fold's model: a search's summary has the scores on folds"):
        evaluate(f"{run}@{member}", split="fold", plugins=plugins)
    assert evaluate(f"{run}@{member}", plugins=plugins).metrics["loss"] > 0


@pytest.mark.parametrize("kind", ["split", "folds"])
def test_the_models_of_the_best_trials_are_kept_and_no_others(kept, kind):
    outcome = kept[kind]
    finished = sorted((row for row in outcome.search.trials if row.state == "finished"), key=lambda row: row.score)
    expected = {f"trial-{row.number}" for row in finished[:2]}
    run = outcome.search.run
    assert {path.name for path in (run / "members").iterdir()} == expected
    entries = facts(run)["members"]
    assert [entry["identity"] for entry in entries] == [f"trial-{row.number}" for row in finished[:2]]
    assert [entry["score"] for entry in entries] == [row.score for row in finished[:2]]
    # The weights of the populations have moved there, named after their score.
    assert not list(run.glob("populations/*/training/stacks"))


def test_kept_weights_carry_the_validation_score(folder, tunable, plugins, monkeypatch):
    monkeypatch.setattr("dlcli.experiment.tune.close_search", stop)
    with pytest.raises(RuntimeError, match="before the end"):
        tune(tunable(SPACE, trials=3), method="random", plugins=plugins)
    result = json.loads((folder / "runs/small/0001/populations/0000/result.json").read_text())
    expected = {f"trial-{e['trial']}-val_loss-{e['score']:.4f}.safetensors" for e in result["outcomes"] if e["score"]}
    states = folder / "runs/small/0001/populations/0000/states"
    assert {path.name for path in states.iterdir()} == expected


def stop(*args, **kwargs):
    raise RuntimeError("before the end")


def test_runs_lists_a_search(kept):
    run = kept["folds"].search.run
    row = read_run(run)
    assert (row.command, row.status, row.monitor, row.direction) == ("tune", "finished", "val_loss", "min")
    assert row.best_score == kept["folds"].tuned.score
    assert row.test == pytest.approx(dict(kept["folds"].tuned.test))
    assert row.members == "8 trials"
    assert {found.run for found in list_runs(run.parents[1])} >= {run}


def test_the_test_rows_decide_nothing(folder, tunable, plugins, tmp_path):
    """A search on a copy whose test labels are shuffled is the same but for its figures on them."""
    shutil.copy(DIGITS, tmp_path / "corrupt.h5")
    with h5py.File(tmp_path / "corrupt.h5", "a") as file:
        labels = file["test/y"][:]
        file["test/y"][:] = (labels + 1) % 10
        file["test/x"][:] = 255 - file["test/x"][:]
    for options in ({}, {"kfold": 2}):
        clean = tune(tunable(SPACE, trials=4), new=True, plugins=plugins, **options)
        data = {"path": "corrupt.h5", "preprocess": ["standardize"]}
        corrupt = tune(tunable(SPACE, trials=4, data=data), new=True, plugins=plugins, **options)
        assert settings(clean) == settings(corrupt)
        files = [outcome.search.run / "model/model.safetensors" for outcome in (clean, corrupt)]
        assert same_tensors(*files)
        assert corrupt.tuned.test["accuracy"] < clean.tuned.test["accuracy"]


@pytest.mark.parametrize("options", [{}, {"kfold": 2}], ids=["split", "folds"])
def test_the_test_rows_are_looked_at_once_for_each_final_model(folder, tunable, plugins, monkeypatch, options):
    seen, looked = [], []
    evaluation = InMemoryBatches.evaluation

    def watched(self, member, rows):
        seen.append(set(member.training_rows.tolist()))
        looked.append(set(rows.tolist()))
        return evaluation(self, member, rows)

    monkeypatch.setattr(InMemoryBatches, "evaluation", watched)
    tune(tunable(SPACE, trials=3), engine="loop", plugins=plugins, **options)
    total, test = (len(truth(*splits)[1]) for splits in (("train", "val", "test"), ("test",)))
    test_rows = set(range(total - test, total))
    assert not any(rows & test_rows for rows in seen)
    assert [rows for rows in looked if rows & test_rows] == [test_rows] * 2  # the tuned and the untuned final model


def test_a_final_model_that_diverges_is_told_and_nothing_is_lost(folder, tunable, plugins, monkeypatch):
    recipe = tunable(SPACE, trials=3)
    with monkeypatch.context() as patch:
        patch.setattr(FinalModels, "refit", lambda self, recipe, folder: "the loss became nan")
        with pytest.raises(TrainingError, match=r"the best setting \(trial \d\) failed when it was retrained"):
            tune(recipe, plugins=plugins)
    assert facts("runs/small/0001")["status"] == "failed"
    assert tune(recipe, plugins=plugins).status == "finished"
    assert facts("runs/small/0001")["status"] == "finished"


def test_a_search_is_no_run_to_resume_and_has_no_model_before_its_end(folder, tunable, plugins, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dlcli.experiment.tune.close_search", stop)
        with pytest.raises(RuntimeError, match="before the end"):
            tune(tunable(SPACE, trials=3), plugins=plugins)
    with pytest.raises(UsageError, match="is a search: it goes on with the dlcli tune command that began it"):
        train(resume="runs/small/0001", plugins=plugins)
    with pytest.raises(DataError, match="a search that has not ended: the dlcli tune command that began it goes on"):
        load("runs/small/0001", plugins=plugins)
    assert tune(tunable(SPACE, trials=3), plugins=plugins).status == "finished"
    assert train(tunable(SPACE), start_from="runs/small/0001", plugins=plugins).status == "finished"
