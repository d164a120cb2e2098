"""Several members end to end: seeds and folds, their files, figures and failures."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from sklearn.model_selection import StratifiedKFold

from dlcli.errors import DataError, RecipeError, TrainingError, UsageError
from dlcli.experiment import execution
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.runs import read_run
from dlcli.experiment.train import train
from dlcli.report.plain import QuietDisplay
from dlcli.testing import tiny_dataset

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


@pytest.fixture(scope="module")
def kept(tmp_path_factory, plugins):
    """A run of three seeds and one of four folds, which tests only read."""
    folder = tmp_path_factory.mktemp("kept")
    base = {
        "name": "kept",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [16]},
        "train": {"epochs": 4, "optimizer": {"name": "adam", "lr": 3e-3}},
    }
    runs = folder / "runs"
    seeds = train({**base, "train": {**base["train"], "seeds": 3}}, runs=runs, plugins=plugins)
    folds = train(base, kfold=4, runs=runs, plugins=plugins)
    return {"seeds": seeds, "folds": folds}


@pytest.fixture(scope="module")
def digits():
    """Images and labels, the splits train, val, test laid end to end."""
    with h5py.File(DIGITS) as file:
        parts = [(file[f"{split}/x"][:], file[f"{split}/y"][:]) for split in ("train", "val", "test") if split in file]
    return torch.from_numpy(np.concatenate([x for x, _ in parts]))[:, None], np.concatenate([y for _, y in parts])


def normed(probabilities):
    """Probabilities that sum to 1 in float64 too, as scikit-learn wants them."""
    exact = np.asarray(probabilities, dtype=np.float64)
    return exact / exact.sum(1, keepdims=True)


def folds_of(run):
    return json.loads((run / "folds.json").read_text())["folds"]


def test_a_run_of_seeds_has_a_model_a_member_and_their_mean(kept, digits, plugins):
    run = kept["seeds"].run
    assert {path.name for path in (run / "members").iterdir()} == {"seed-0", "seed-1", "seed-2"}
    assert not (run / "folds.json").exists()
    x = digits[0][-270:]
    members = [load(f"{run}@seed-{number}", plugins=plugins).probabilities(x) for number in range(3)]
    mean = load(run, plugins=plugins)
    torch.testing.assert_close(mean.probabilities(x), torch.stack(members).mean(0), rtol=1e-4, atol=1e-7)
    assert (mean.classes, mean.task, [field.name for field in mean.inputs]) == (
        tuple("0123456789"),
        "multiclass",
        ["x"],
    )
    assert not mean.training
    assert len({tuple(probabilities.flatten().tolist()) for probabilities in members}) == 3


def test_the_figures_of_seeds_are_those_of_scikit_learn_and_numpy(kept, digits, plugins):
    summary = kept["seeds"]
    x, y = digits[0][-270:], digits[1][-270:]
    accuracies = []
    for number, member in enumerate(summary.population.members):
        probabilities = load(f"{summary.run}@seed-{number}", plugins=plugins).probabilities(x)
        accuracies.append(accuracy_score(y, probabilities.argmax(1)))
        assert member.figures["test"]["accuracy"] == pytest.approx(accuracies[-1])
        assert member.figures["test"]["loss"] == pytest.approx(log_loss(y, normed(probabilities)), rel=1e-5)
        assert member.best_score == pytest.approx(member.figures["val"]["loss"], rel=1e-5)
    assert summary.population.mean["test"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert summary.population.spread["test"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    scores = [member.best_score for member in summary.population.members]
    assert summary.best_score == pytest.approx(np.mean(scores))
    assert summary.population.score_spread == pytest.approx(np.std(scores, ddof=1))
    mean = load(summary.run, plugins=plugins).probabilities(x)
    assert summary.test["loss"] == pytest.approx(log_loss(y, normed(mean)), rel=1e-5)
    assert summary.test["accuracy"] == pytest.approx(accuracy_score(y, mean.argmax(1)))


def test_a_seed_trains_as_it_would_among_others(folder, kept, plugins, recipe):
    more = train({**recipe(train={"epochs": 4, "optimizer": {"name": "adam", "lr": 3e-3}})}, seeds=2, plugins=plugins)
    for number in range(2):
        files = [run / f"members/seed-{number}/model/model.safetensors" for run in (kept["seeds"].run, more.run)]
        first, second = map(load_file, files)
        assert all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-5) for name in first)


def test_one_seed_is_a_plain_run(folder, plugins, recipe):
    summary = train(recipe(), seeds=1, plugins=plugins)
    assert summary.population is None
    assert not (summary.run / "members").exists()
    with pytest.raises(UsageError, match="has no member 'seed-0'; it is one network and has none"):
        load("small@seed-0", plugins=plugins)


def test_out_of_fold_predictions_are_of_models_that_have_not_seen_the_row(kept, digits, plugins):
    run = kept["folds"].run
    x, y = digits
    with h5py.File(run / "oof.h5") as file:
        rows, fold, outputs, probabilities, target = (
            file[name][:] for name in ("rows", "fold", "outputs", "probabilities", "target")
        )
        assert list(file["target"].attrs["classes"]) == list("0123456789")
        assert file.attrs["task"] == "multiclass"
    assert np.array_equal(rows, np.arange(len(y) - 270))
    assert np.array_equal(target, y[rows])
    for number, parts in enumerate(folds_of(run)):
        mine = fold == number
        assert np.array_equal(rows[mine], parts["held_out"])
        assert not {*parts["held_out"]} & {*parts["training"], *parts["validation"]}
        model = load(f"{run}@fold-{number}", plugins=plugins)
        expected = model(x[rows[mine]]).detach().numpy()
        np.testing.assert_allclose(outputs[mine], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(probabilities[mine], torch.softmax(torch.from_numpy(expected), 1), atol=1e-6)


def test_the_figures_of_folds_are_out_of_fold(kept, plugins):
    summary = kept["folds"]
    with h5py.File(summary.run / "oof.h5") as file:
        fold, probabilities, target = file["fold"][:], normed(file["probabilities"][:]), file["target"][:]
    losses = [log_loss(target[fold == k], probabilities[fold == k], labels=range(10)) for k in range(4)]
    for member, loss in zip(summary.population.members, losses, strict=True):
        assert member.figures["held_out"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert summary.best_score == pytest.approx(np.mean(losses), rel=1e-5)
    assert summary.population.score_spread == pytest.approx(np.std(losses, ddof=1), rel=1e-4)
    together = summary.population.out_of_fold
    assert together["loss"] == pytest.approx(log_loss(target, probabilities), rel=1e-5)
    assert together["accuracy"] == pytest.approx(accuracy_score(target, probabilities.argmax(1)))
    assert (summary.train, summary.val) == (None, None)


def test_test_rows_are_scored_once_by_the_mean_of_the_folds(kept, digits, plugins):
    summary = kept["folds"]
    x, y = digits[0][-270:], digits[1][-270:]
    probabilities = load(summary.run, plugins=plugins).probabilities(x)
    assert summary.test["loss"] == pytest.approx(log_loss(y, normed(probabilities)), rel=1e-5)
    assert all(set(member.figures) == {"train", "held_out"} for member in summary.population.members)


def test_preprocessing_is_fitted_on_what_each_fold_trains_on(kept, digits, plugins):
    run = kept["folds"].run
    for number, parts in enumerate(folds_of(run)):
        mean = load(f"{run}@fold-{number}", plugins=plugins).preprocessing["x"][0].state["mean"]
        assert mean.item() == pytest.approx(digits[0][parts["training"]].double().mean().item(), rel=1e-6)


def test_run_json_and_the_leaderboard_have_it_all(kept):
    for kind, members in (("seeds", "3 seeds"), ("folds", "4 folds")):
        summary = kept[kind]
        facts = json.loads((summary.run / "run.json").read_text())
        as_json = summary.as_json()
        for key in ("population", "members", "best_score", "test"):
            assert facts[key] == as_json[key]
        row = read_run(summary.run)
        assert (row.members, row.best_score) == (members, summary.best_score)
        assert row.score_spread == summary.population.score_spread
        assert row.monitor == "val_loss"
    assert facts["trained_on"] == ["train", "val"]


def test_evaluate_takes_runs_and_members(kept, plugins):
    for name, splits in (("seeds", ("train", "val", "test")), ("folds", ("test",))):
        summary = kept[name]
        for split in splits:
            found = evaluate(summary.run, split=split, plugins=plugins)
            assert found.metrics == pytest.approx(getattr(summary, split), rel=1e-5)
    run = kept["folds"].run
    member = kept["folds"].population.members[2]
    held_out = evaluate(f"{run}@fold-2", split="fold", plugins=plugins)
    assert held_out.metrics == pytest.approx(member.figures["held_out"], rel=1e-5)
    assert held_out.rows == len(folds_of(run)[2]["held_out"])
    assert held_out.as_json()["run"] == f"{run}@fold-2"
    training = evaluate(f"{run}@fold-2", split="train", plugins=plugins)
    assert training.metrics == pytest.approx(member.figures["train"], rel=1e-5)
    assert training.note == "the rows that this fold's model was trained on"
    assert evaluate(run, split="train", plugins=plugins).note == "the model was trained on these rows"


def test_evaluate_refuses_rows_that_were_trained_on(kept, plugins, tmp_path):
    run = kept["folds"].run
    with pytest.raises(UsageError, match=r"was trained on the validation rows too, so their figures would be too good"):
        evaluate(run, split="val", plugins=plugins)
    with pytest.raises(UsageError, match=r"@fold-0 was trained on a part of the validation rows, .* --split fold"):
        evaluate(f"{run}@fold-0", split="val", plugins=plugins)
    copy = shutil.copy(DIGITS, tmp_path / "copy.h5")
    with pytest.raises(UsageError, match=r"was trained on the validation rows too"):
        evaluate(run, data=copy, split="val", plugins=plugins)
    with h5py.File(copy, "a") as file:
        file["val/x"][0, 0, 0] = 9
    assert evaluate(run, data=copy, split="val", plugins=plugins).note is None
    with pytest.raises(UsageError, match="--split fold is for the data that the run was trained on"):
        evaluate(f"{run}@fold-0", data=copy, split="fold", plugins=plugins)
    with pytest.raises(UsageError, match=r"--split fold is for one fold's model, such as .*@fold-0"):
        evaluate(run, split="fold", plugins=plugins)
    with pytest.raises(UsageError, match=r"@seed-1 has no folds; --split fold is for a member of a run made with"):
        evaluate(f"{kept['seeds'].run}@seed-1", split="fold", plugins=plugins)


def test_members_are_addressed(kept, plugins):
    with pytest.raises(UsageError, match=r"has no member 'fold-9'; there are fold-0, fold-1, fold-2, fold-3"):
        load(f"{kept['folds'].run}@fold-9", plugins=plugins)
    with pytest.raises(UsageError, match=r"a member goes on with its run: dlcli train --resume .*, not .*@seed-0"):
        train(resume=f"{kept['seeds'].run}@seed-0", plugins=plugins)


def test_a_run_starts_from_a_member(folder, kept, plugins, recipe):
    run = kept["seeds"].run
    with pytest.raises(UsageError, match=r"is the mean of 3 networks; start from one of them: --from .*@seed-0"):
        train(recipe(), start_from=run, plugins=plugins)
    second = train(recipe(), start_from=f"{run}@seed-1", freeze="blocks.0.*", plugins=plugins)
    before = load_file(run / "members/seed-1/model/model.safetensors")["network.blocks.0.affine.weight"]
    after = load_file(second.run / "model/model.safetensors")["network.blocks.0.affine.weight"]
    assert torch.equal(before, after)
    # The resolved recipe finds the member from wherever the run is.
    again = train(second.run / "recipe.toml", plugins=plugins)
    assert dict(again.test) == dict(second.test)
    with pytest.raises(UsageError, match="its weights have seen rows that the folds hold out"):
        train(recipe(), start_from=f"{run}@seed-1", kfold=3, plugins=plugins)


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_other_tasks(folder, plugins, recipe, task):
    tiny_dataset("tiny.h5", task=task, rows=100)
    summary = train(recipe(data={"path": "tiny.h5"}), kfold=3, plugins=plugins)
    model = load(summary.run, plugins=plugins)
    with h5py.File("tiny.h5") as file:
        x, y = torch.from_numpy(file["test/x"][:]), file["test/y"][:]
    members = [load(f"{summary.run}@fold-{number}", plugins=plugins).probabilities(x) for number in range(3)]
    torch.testing.assert_close(model.probabilities(x), torch.stack(members).mean(0), rtol=1e-4, atol=1e-6)
    with h5py.File(summary.run / "oof.h5") as file:
        assert ("probabilities" in file) is (task != "regression")
        assert file["outputs"].shape[0] == file["target"].shape[0] == 80
    if task == "regression":
        assert summary.test["rmse"] == pytest.approx(root_mean_squared_error(y, model(x).detach()), rel=1e-5)


def test_regression_on_real_data(folder, plugins, recipe):
    data = load_diabetes()
    with h5py.File("diabetes.h5", "w") as file:
        file["x"], file["y"] = data.data.astype("f4"), data.target.astype("f4")
    summary = train(
        recipe(data={"path": "diabetes.h5", "preprocess": ["standardize"], "split": {"test": 0.2}}),
        kfold=5,
        overrides=["train.epochs=60", "train.optimizer.lr=0.05"],
        plugins=plugins,
    )
    with h5py.File(summary.run / "oof.h5") as file:
        outputs, target = file["outputs"][:], file["target"][:]
    assert summary.population.out_of_fold["r2"] == pytest.approx(r2_score(target, outputs), rel=1e-5)
    assert summary.population.out_of_fold["r2"] > 0.3


def test_groups_are_whole_in_every_part(folder, plugins, recipe):
    data = load_breast_cancer()
    groups = np.arange(569) // 4
    with h5py.File("cancer.h5", "w") as file:
        file["x"], file["y"], file["patient"] = data.data.astype("f4"), data.target, groups
        file["y"].attrs["classes"] = ["malignant", "benign"]
        file["patient"].attrs["role"] = "group"
    summary = train(recipe(data={"path": "cancer.h5", "preprocess": ["standardize"]}), kfold=5, plugins=plugins)
    for parts in folds_of(summary.run):
        of_part = [set(groups[parts[name]]) for name in ("held_out", "training", "validation")]
        assert not of_part[0] & of_part[1]
        assert not of_part[0] & of_part[2]
        assert not of_part[1] & of_part[2]
    with pytest.raises(DataError, match=r"143 groups are too few for 200 folds"):
        train(recipe(data={"path": "cancer.h5"}), kfold=200, plugins=plugins)


def test_a_fixed_time_needs_no_inner_part(folder, plugins, recipe):
    summary = train(recipe(train={"epochs": 2, "select": "last"}), kfold=3, plugins=plugins)
    assert all(parts["validation"] is None for parts in folds_of(summary.run))
    (note,) = (note for note in summary.notes if "folds train on all" in note)
    assert "train_loss stands for val_loss while training" in note
    lines = [json.loads(line) for line in (summary.run / "history.jsonl").read_text().splitlines()]
    assert not any("val_loss" in line for line in lines)
    assert summary.monitor == "val_loss"
    stopping = recipe(train={"epochs": 2, "select": "last"}, regularizers=[{"name": "early_stopping"}])
    summary = train(stopping, kfold=3, plugins=plugins)
    assert all(parts["validation"] for parts in folds_of(summary.run))


def test_the_inner_part_is_split_val_of_the_folds_rows(folder, plugins, recipe):
    data = load_breast_cancer()
    with h5py.File("cancer.h5", "w") as file:
        file["x"], file["y"] = data.data.astype("f4"), data.target
        file["y"].attrs["classes"] = ["malignant", "benign"]
    for split, share in (({"val": 0.25, "test": 0.2}, 0.25), ({"test": 0.2}, 0.1)):
        summary = train(recipe(data={"path": "cancer.h5", "split": split}), kfold=3, plugins=plugins)
        for parts in folds_of(summary.run):
            own = len(parts["training"]) + len(parts["validation"])
            assert len(parts["validation"]) == pytest.approx(share * own, abs=1)


def test_a_cross_validated_score_agrees_with_scikit_learns(folder, plugins, recipe):
    """The same network by hand on scikit-learn's folds: the mean accuracies agree to their spread."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    with h5py.File("cancer.h5", "w") as file:
        file["x"], file["y"] = data.data.astype("f4"), data.target
        file["y"].attrs["classes"] = ["malignant", "benign"]
    source = recipe(
        data={"path": "cancer.h5", "preprocess": ["standardize"]},
        model={"architecture": "logistic"},
        train={"epochs": 40, "optimizer": {"name": "adam", "lr": 1e-2}},
    )
    summary = train(source, kfold=5, plugins=plugins)
    theirs = cross_val_score(
        make_pipeline(StandardScaler(), LogisticRegression()),
        data.data,
        data.target,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
    )
    assert summary.population.mean["held_out"]["accuracy"] == pytest.approx(theirs.mean(), abs=0.02)


def test_kfold_without_a_number(folder, plugins, recipe):
    assert len(train(recipe(), kfold=True, plugins=plugins).population.members) == 5
    tuned = recipe(tune={"kfold": 3, "space": {"train.optimizer.lr": {"log_uniform": [1e-4, 1e-1]}}})
    assert len(train(tuned, kfold=True, plugins=plugins).population.members) == 3


def test_seeds_and_folds_do_not_go_together(folder, plugins, recipe):
    with pytest.raises(RecipeError, match=r"5 folds and 3 seeds do not go together: .* leave out train.seeds"):
        train(recipe(), seeds=3, kfold=5, plugins=plugins)
    with pytest.raises(RecipeError, match=r"train.kfold: expected a whole number ≥ 2, got 1"):
        train(recipe(), kfold=1, plugins=plugins)


class Interrupting(QuietDisplay):
    """Sends this process SIGINT, as Ctrl-C does, when epochs of all members together are so many."""

    def __init__(self, after: int) -> None:
        self.left = after

    def epoch_finished(self, member, record, history):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("options", [{"seeds": 3}, {"kfold": 3}], ids=["seeds", "folds"])
@pytest.mark.parametrize("engine", ["loop", "vectorized"])
@pytest.mark.parametrize("after", [2, 7])
def test_ctrl_c_saves_and_resuming_gives_the_same_bits(folder, plugins, recipe, options, engine, after):
    options = {**options, "engine": engine}
    train_section = {"epochs": 4, "checkpoint_seconds": 0.0}
    source = recipe(train=train_section, model={"architecture": "mlp", "hidden": [16], "dropout": 0.2})
    whole = train(source, plugins=plugins, **options)
    broken = train(source, plugins=plugins, display=Interrupting(after), **options)
    assert broken.status == "interrupted"
    assert (broken.test, broken.best_score) == (None, None)
    assert not (broken.run / "oof.h5").exists()
    again = train(resume=broken.run, plugins=plugins)
    assert again.status == "finished"
    assert dict(again.test) == dict(whole.test)
    assert again.population.mean == whole.population.mean
    files = sorted(path.relative_to(whole.run) for path in whole.run.rglob("model.safetensors"))
    assert len(files) == 4
    for file in files:
        first, second = load_file(whole.run / file), load_file(again.run / file)
        assert all(torch.equal(first[name], second[name]) for name in first), file


def test_what_may_not_change_on_resuming(folder, plugins, recipe):
    run = train(recipe(), kfold=3, plugins=plugins).run
    with pytest.raises(UsageError, match=r"train.kfold: 3 → 4"):
        train(resume=run, overrides=["train.kfold=4"], plugins=plugins)
    with pytest.raises(UsageError, match=r"give neither a recipe nor what would change it"):
        train(resume=run, kfold=4, plugins=plugins)
    with pytest.raises(UsageError, match=r"cannot grow from 3 to 9: only a run of one network may grow"):
        train(resume=run, overrides=["train.epochs=9"], plugins=plugins)
    folds = json.loads((run / "folds.json").read_text())
    folds["folds"][0]["held_out"].pop()
    (run / "folds.json").write_text(json.dumps(folds))
    with pytest.raises(DataError, match=r"folds.json was changed: its rows are not those of its sha256"):
        train(resume=run, plugins=plugins)
    (run / "folds.json").write_text(json.dumps({**folds, "sha256": None}))
    with pytest.raises(DataError, match=r"the folds of .* are not those that this version of torch makes"):
        train(resume=run, plugins=plugins)
    (run / "folds.json").write_text("{")
    with pytest.raises(DataError, match=r"cannot read the folds .*folds.json: .*; restore the file, or make them anew"):
        train(resume=run, plugins=plugins)
    (run / "folds.json").write_text('{"format": 7}')
    with pytest.raises(DataError, match=r"folds.json: it has format 7; this dlcli reads format 1"):
        train(resume=run, plugins=plugins)


@pytest.fixture
def failing(monkeypatch):
    """Let `fit` say of some members that they failed."""

    def make(*identities, empty=False):
        def fit(*arguments, **options):
            results = real(*arguments, **options)
            changed = {"failure": "the loss became nan", **({"state": {}} if empty else {})}
            return [replace(result, **changed) if result.identity in identities else result for result in results]

        real = execution.fit
        monkeypatch.setattr(execution, "fit", fit)

    return make


@pytest.mark.parametrize("options", [{"seeds": 3}, {"kfold": 3}], ids=["seeds", "folds"])
def test_a_member_that_fails_is_left_out_and_named(folder, plugins, recipe, failing, options):
    name = "seed" if "seeds" in options else "fold"
    failing(f"{name}-1")
    summary = train(recipe(), plugins=plugins, **options)
    assert summary.status == "finished"
    assert summary.notes[-1] == f"1 of 3 members failed and are left out: {name}-1: the loss became nan"
    assert load(summary.run, plugins=plugins).identities == (f"{name}-0", f"{name}-2")
    kept = [member for member in summary.population.members if member.figures]
    scores = [m.figures["held_out"]["loss"] if name == "fold" else m.best_score for m in kept]
    assert summary.best_score == pytest.approx(np.mean(scores))
    assert json.loads((summary.run / "run.json").read_text())["members"][1]["failure"] == "the loss became nan"
    with pytest.raises(DataError, match=rf"@{name}-1 has no model yet .*its training failed \(the loss became nan\)"):
        load(f"small@{name}-1", plugins=plugins)
    if name == "fold":
        with h5py.File(summary.run / "oof.h5") as file:
            assert set(file["fold"][:]) == {0, 2}


def test_a_run_whose_members_all_fail_fails(folder, plugins, recipe, failing):
    failing("seed-0", "seed-1")
    with pytest.raises(TrainingError, match="all 2 members failed; seed-0: the loss became nan"):
        train(recipe(), seeds=2, plugins=plugins)
    facts = json.loads((folder / "runs/small/0001/run.json").read_text())
    assert (facts["status"], facts["best_score"]) == ("failed", None)
    with pytest.raises(DataError, match="has no model yet"):
        load("small", plugins=plugins)


@pytest.mark.parametrize("empty", [False, True])
def test_a_plain_run_that_fails_keeps_what_there_is(folder, plugins, recipe, failing, empty):
    failing("", empty=empty)
    with pytest.raises(TrainingError, match="^the loss became nan$"):
        train(recipe(), plugins=plugins)
    facts = json.loads((folder / "runs/small/0001/run.json").read_text())
    assert (facts["status"], facts["error"], facts["test"]) == ("failed", "the loss became nan", None)
    assert (folder / "runs/small/0001/model").exists() is not empty


@pytest.mark.parametrize("damage", ["members", "combiner", "weights"])
def test_a_damaged_combination_is_refused(folder, plugins, recipe, damage):
    run = train(recipe(), seeds=2, plugins=plugins).run
    file = run / "model/model.json"
    table = json.loads(file.read_text())
    if damage == "members":
        del table["combination"]["parts"][0]["model"]
        match = "model.json is damaged: KeyError: 'model'"
    elif damage == "combiner":
        table["combination"]["strategy"]["name"] = "stakcing"
        match = "model.json is damaged: ValueError: unknown ensemble 'stakcing'; did you mean 'stacking'"
    else:
        table["models"][0]["architecture"]["hidden"] = [17]
        match = "model.safetensors does not fit model.json"
    file.write_text(json.dumps(table))
    with pytest.raises(DataError, match=match):
        load(run, plugins=plugins)
