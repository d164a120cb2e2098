import json
import os
import shutil
import signal
import tomllib
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, log_loss

from dlcli.errors import DataError, RecipeError, StorageError, TrainingError, UsageError
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.prepare import prepare
from dlcli.experiment.train import train
from dlcli.experiment.tune import tune
from dlcli.experiment.warm_start import warm_start
from dlcli.recipe.load import load_recipe
from dlcli.report.plain import QuietDisplay
from dlcli.testing import tiny_dataset

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


class Interrupting(QuietDisplay):
    """Sends this process SIGINT, as Ctrl-C does, at a given step of a given epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)
        self.epoch = 0

    def epoch_started(self, member, epoch, steps):
        self.epoch = epoch

    def step_finished(self, step, loss, learning_rate):
        if (self.epoch, step) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_leaves_what_the_design_says(folder, plugins, recipe):
    summary = train(recipe(), plugins=plugins)
    run = folder / "runs/small/0001"
    assert summary.run == Path("runs/small/0001")
    assert {p.name for p in run.iterdir()} == {"run.json", "recipe.toml", "history.jsonl", "checkpoints", "model"}
    assert {p.name for p in (run / "model").iterdir()} == {"model.json", "model.safetensors"}
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished"
    assert facts["test"] == dict(summary.test)
    assert facts["packages"] == {"dlcli": plugins.version("dlcli")}
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert set(lines[0]) == {
        "member", "epoch", "learning_rate", "train_loss", "val_loss", "val_accuracy", "seconds"
    }  # fmt: skip


def test_runs_are_numbered_and_never_touch_each_other(folder, plugins, recipe):
    first = train(recipe(), plugins=plugins).run
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert train(recipe(), plugins=plugins).run == Path("runs/small/0002")
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_figures_are_those_of_scikit_learn(folder, plugins, recipe):
    summary = train(recipe(train={"epochs": 5, "metrics": ["accuracy", "nll"]}), plugins=plugins)
    model = load(summary.run, plugins=plugins)
    with h5py.File(DIGITS) as file:
        x, y = torch.from_numpy(file["test/x"][:])[:, None], file["test/y"][:]
    probabilities = model.probabilities(x)
    assert summary.test["accuracy"] == pytest.approx(accuracy_score(y, probabilities.argmax(1)))
    assert summary.test["loss"] == pytest.approx(log_loss(y, model(x).detach().double().softmax(1)), rel=1e-5)
    assert summary.test["nll"] == pytest.approx(summary.test["loss"], rel=1e-5)
    assert model.classes == tuple("0123456789")
    assert [field.name for field in model.inputs] == ["x"]
    assert not model.training
    assert torch.allclose(probabilities.sum(1), torch.ones(270))


def test_evaluate_gives_the_same_figures_again(folder, plugins, recipe):
    summary = train(recipe(), plugins=plugins)
    for split in ("train", "val", "test"):
        found = evaluate("small", split=split, plugins=plugins)
        assert found.metrics == pytest.approx(getattr(summary, split), rel=1e-6)
    everything = evaluate("small/0001", split="all", plugins=plugins)
    assert everything.rows == 1797
    with pytest.raises(UsageError, match="has no split 'dev'; there are train, val, test, and all"):
        evaluate("small", split="dev", plugins=plugins)


def test_evaluate_refuses_another_kind_of_data(folder, plugins, recipe):
    train(recipe(), plugins=plugins)
    with h5py.File("other.h5", "w") as file:
        file["x"], file["y"] = torch.rand(50, 8, 9).numpy(), torch.arange(50).numpy() % 10
        file["x"].attrs["kind"] = "image"
        file["y"].attrs["classes"] = list("0123456789")
    with pytest.raises(DataError, match=r"field 'x' of .*other.h5 has shape \(1, 8, 9\), but the model was trained on"):
        evaluate("small", data="other.h5", split="all", plugins=plugins)


def test_the_resolved_recipe_reruns_to_the_same_bits(folder, plugins, recipe):
    first = train(recipe(), plugins=plugins)
    text = (first.run / "recipe.toml").read_text()
    table = tomllib.loads(text)
    assert table["model"]["architecture"] == "dlcli:mlp"
    assert table["train"]["batch_size"] == 64
    assert not Path(table["data"]["path"]).is_absolute()
    second = train(first.run / "recipe.toml", plugins=plugins)
    weights = [load_file(summary.run / "model/model.safetensors") for summary in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_resolved_recipe_refuses_other_data(folder, plugins, recipe):
    shutil.copy(DIGITS, "mine.h5")
    first = train(recipe(data={"path": "mine.h5"}), plugins=plugins)
    with h5py.File("mine.h5", "a") as file:
        file["train/x"][0, 0, 0] = 9
    with pytest.raises(DataError, match="is not the file that this recipe was resolved with: its fingerprint is"):
        train(first.run / "recipe.toml", plugins=plugins)


@pytest.mark.parametrize("moment", [(1, 2), (3, 1), (4, 7)])
def test_ctrl_c_saves_and_resuming_gives_the_same_bits(folder, plugins, recipe, moment):
    source = recipe(train={"epochs": 5}, model={"architecture": "mlp", "hidden": [16], "dropout": 0.2})
    whole = train(source, plugins=plugins)
    broken = train(source, plugins=plugins, display=Interrupting(*moment))
    assert broken.status == "interrupted"
    assert broken.epochs == (moment[0] if moment[0] > 1 else 0)  # the epoch under way is finished where one was before
    assert broken.test is None  # test rows are touched once, at the end
    if broken.epochs:
        assert evaluate(broken.run, plugins=plugins).metrics["accuracy"] > 0  # every run is a model
    else:
        with pytest.raises(DataError, match="has no model yet"):
            load(broken.run, plugins=plugins)
    again = train(resume=broken.run, plugins=plugins)
    assert again.status == "finished"
    assert dict(again.test) == dict(whole.test)
    weights = [load_file(summary.run / "model/model.safetensors") for summary in (whole, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resuming_a_finished_run_changes_nothing(folder, plugins, recipe):
    first = train(recipe(), plugins=plugins)
    again = train(resume="small", plugins=plugins)
    assert dict(again.test) == dict(first.test)
    assert again.epochs == 3


def test_epochs_may_grow_to_the_bits_of_a_longer_run(folder, plugins, recipe):
    long = train(recipe(train={"epochs": 6}), plugins=plugins)
    short = train(recipe(), overrides=["train.optimizer=adamw"], plugins=plugins)
    longer = train(resume=short.run, overrides=["train.epochs=6"], plugins=plugins)
    assert dict(longer.test) == dict(long.test)
    assert json.loads((short.run / "run.json").read_text())["recipe"]["train"]["epochs"] == 6
    with pytest.raises(UsageError, match="train.epochs of .* is 6 and may only grow, got 4"):
        train(resume=short.run, overrides=["train.epochs=4"], plugins=plugins)


def test_epochs_may_not_grow_where_the_schedule_knows_the_end(folder, plugins, recipe):
    run = train(recipe(train={"epochs": 3, "schedule": "cosine"}), plugins=plugins).run
    with pytest.raises(UsageError, match="cannot grow from 3 to 6: its schedule depends on the number of epochs"):
        train(resume=run, overrides=["train.epochs=6"], plugins=plugins)


def test_resuming_refuses_a_changed_recipe(folder, plugins, recipe):
    run = train(recipe(), plugins=plugins).run
    with pytest.raises(UsageError, match=r"is not what it began with: train.batch_size: 64 → 32\. A run goes on"):
        train(resume=run, overrides=["train.batch_size=32"], plugins=plugins)
    file = run / "recipe.toml"
    file.write_text(file.read_text().replace("hidden = [16]", "hidden = [17]"))
    with pytest.raises(UsageError, match=r"model.hidden"):
        train(resume=run, plugins=plugins)


def test_resuming_refuses_changed_data_and_takes_moved_data(folder, plugins, recipe):
    shutil.copy(DIGITS, "mine.h5")
    run = train(recipe(data={"path": "mine.h5"}), plugins=plugins).run
    shutil.move("mine.h5", "moved.h5")
    with pytest.raises(DataError, match=r"mine.h5 .*--set data.path="):
        train(resume=run, plugins=plugins)
    assert train(resume=run, overrides=["data.path=moved.h5"], plugins=plugins).status == "finished"
    with h5py.File("moved.h5", "a") as file:
        file["train/x"][0, 0, 0] = 9
    with pytest.raises(DataError, match="fingerprint"):
        train(resume=run, plugins=plugins)


def test_resuming_takes_no_recipe_and_a_running_run_is_left_alone(folder, plugins, recipe):
    run = train(recipe(), plugins=plugins).run
    with pytest.raises(UsageError, match="resuming goes on with the run's own recipe"):
        train(recipe(), resume=run, plugins=plugins)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "status": "running", "pid": os.getppid()}))
    with pytest.raises(UsageError, match=f"is running as process {os.getppid()}"):
        train(resume=run, plugins=plugins)


def test_starting_from_a_run_takes_what_fits_and_lists_the_rest(folder, plugins, recipe):
    first = train(recipe(), plugins=plugins)
    second = train(
        recipe(model={"architecture": "mlp", "hidden": [16, 16]}),
        start_from="small",
        freeze="blocks.0.*",
        plugins=plugins,
    )
    assert any(note.startswith("started from runs/small/0001: 4 tensors taken") for note in second.notes)
    assert "blocks.1.affine.weight: not in the earlier run; starts fresh" in second.notes
    before, after = (load_file(summary.run / "model/model.safetensors") for summary in (first, second))
    assert torch.equal(before["network.blocks.0.affine.weight"], after["network.blocks.0.affine.weight"])
    assert not torch.equal(before["network.head.weight"], after["network.head.weight"])
    with pytest.raises(UsageError, match=r"train.freeze = 'nothing.\*' matches no parameter; write globs over"):
        train(recipe(), freeze="nothing.*", plugins=plugins)
    # A resumed run does not need the earlier one any more.
    shutil.rmtree(first.run)
    assert dict(train(resume=second.run, plugins=plugins).test) == dict(second.test)


def test_a_start_that_fits_nowhere_is_refused(plugins, recipe):
    member = prepare(load_recipe(recipe(), plugins.registry), plugins.registry).member
    with pytest.raises(UsageError, match="no tensor of the earlier run fits this network: it has weight, bias…"):
        warm_start(member, SimpleNamespace(network=torch.nn.Linear(3, 3)))


def test_divergence_fails_the_run_and_keeps_the_model_so_far(folder, plugins, recipe):
    source = recipe(train={"epochs": 5, "optimizer": {"name": "sgd", "lr": 1e30}})
    with pytest.raises(
        TrainingError, match=r"training diverged in epoch 1, batch \d+: the loss became nan at learning"
    ):
        train(source, plugins=plugins)
    facts = json.loads((folder / "runs/small/0001/run.json").read_text())
    assert facts["status"] == "failed"
    assert "training diverged" in facts["error"]


def test_wrong_tasks_and_monitors_are_told_together(folder, plugins, recipe):
    source = recipe(train={"loss": "mse", "metrics": ["rmse"], "monitor": "val_rmse"})
    with pytest.raises(RecipeError) as caught:
        train(source, plugins=plugins)
    text = str(caught.value)
    assert "2 problems in the recipe" in text
    assert "train.loss: mse is for regression, but the target makes this a multiclass task" in text
    assert "train.metrics: rmse is for regression" in text
    assert not (folder / "runs").exists()


def test_a_regularizer_that_has_nothing_to_work_on_leaves_nothing(folder, plugins, recipe):
    flip = recipe(data={"path": str(tiny_dataset("tiny.h5"))}, regularizers=[{"name": "random_flip"}])
    with pytest.raises(RecipeError, match=r"regularizers: random_flip changes images, but no input is one \(x\)"):
        train(flip, plugins=plugins)
    tuned = {**flip, "tune": {"trials": 2, "space": {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]}}}}
    with pytest.raises(RecipeError, match=r"regularizers: random_flip changes images, but no input is one \(x\)"):
        tune(tuned, plugins=plugins)
    assert not (folder / "runs").exists()


def test_parameters_that_do_not_fit_the_data_are_told_together(folder, plugins, recipe):
    loss = {"name": "cross_entropy", "class_weights": [1.0, 2.0]}
    with pytest.raises(RecipeError) as caught:
        train(recipe(train={"loss": loss, "metrics": [{"name": "top_k", "k": 10}]}), plugins=plugins)
    text = str(caught.value)
    assert "2 problems in the recipe" in text
    assert "train.loss: cross_entropy: class_weights has 2 numbers, but the target has 10 classes: give one" in text
    assert "train.metrics: top_k: k = 10 of 10 classes is always right: take a k below 10" in text
    assert not (folder / "runs").exists()


def test_a_metric_of_torchmetrics_decides_and_is_told_again(folder, plugins, recipe):
    metric = {"name": "torchmetrics", "metric": "MatthewsCorrCoef"}
    section = {"epochs": 2, "seeds": 2, "metrics": ["auroc", metric], "monitor": "val_torchmetrics"}
    summary = train(recipe(train=section), plugins=plugins)
    told = evaluate(summary.run, split="test", plugins=plugins).metrics["torchmetrics"]
    assert told == pytest.approx(summary.test["torchmetrics"], abs=1e-12)
    assert told > 0.3


def test_a_metric_that_torchmetrics_does_not_have_is_told_before_training(folder, plugins, recipe):
    metric = {"name": "torchmetrics", "metric": "MathewsCorrCoef"}
    with pytest.raises(RecipeError, match="train.metrics: torchmetrics: .*; did you mean 'MatthewsCorrCoef'"):
        train(recipe(train={"metrics": [metric]}), plugins=plugins)
    assert not (folder / "runs").exists()


def test_a_monitor_that_is_not_computed_is_refused(folder, plugins, recipe):
    with pytest.raises(RecipeError, match="train.monitor: 'val_f1' is not computed; computed are train_loss, val_loss"):
        train(recipe(train={"monitor": "val_f1"}), plugins=plugins)


def test_a_read_only_folder_is_an_error_that_says_so(folder, plugins, recipe, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"cannot write runs/small: Permission denied"):
        train(recipe(), plugins=plugins)


def test_a_file_where_runs_should_be_is_an_error_that_says_so(folder, plugins, recipe):
    (folder / "runs").write_text("")
    with pytest.raises(StorageError, match=r"cannot write runs/small: (Not a directory|File exists); free some space"):
        train(recipe(), plugins=plugins)


def test_a_full_disk_fails_the_run_with_the_cause(folder, plugins, recipe, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dlcli.training.checkpoint.save_file", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        train(recipe(), plugins=plugins)
    assert json.loads((folder / "runs/small/0001/run.json").read_text())["status"] == "failed"


def test_there_is_no_such_run(folder, plugins, recipe):
    with pytest.raises(UsageError, match="there is no run 'nothing'; there are none under runs/"):
        load("nothing", plugins=plugins)
    train(recipe(), plugins=plugins)
    with pytest.raises(UsageError, match="there is no run 'nothing'; there are small; give a path, NAME/0001 or NAME"):
        load("nothing", plugins=plugins)


@pytest.mark.parametrize("damage", ["cut", "other", "json"])
def test_a_damaged_model_is_refused(folder, plugins, recipe, damage):
    run = train(recipe(), plugins=plugins).run
    weights, description = run / "model/model.safetensors", run / "model/model.json"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
        match = r"cannot read .*model.safetensors"
    elif damage == "other":
        description.write_text(description.read_text().replace("16", "17"))
        match = r"model.safetensors does not fit model.json"
    else:
        description.write_text("{")
        match = r"cannot read the model .*model.json"
    with pytest.raises(DataError, match=match):
        load(run, plugins=plugins)
