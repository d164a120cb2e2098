"""An evaluation against scikit-learn on the outputs of the loaded model, and what it leaves in a run."""

import json
import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from ensembles import DIGITS, network, regression_file, split
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, r2_score

from dlcli.errors import StorageError, UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.evaluation.files import write_evaluation
from dlcli.experiment.load import load
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.train import train


def cancer_file(path):
    """Breast cancer without splits, with a weight a row and groups of three rows."""
    data = load_breast_cancer()
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = data.data.astype("float32"), data.target
        file["y"].attrs["classes"] = ["malignant", "benign"]
        file["patient"], file["patient"].attrs["role"] = np.arange(len(data.target)) // 3, "group"
        weight = np.random.default_rng(0).integers(0, 4, len(data.target)).astype("float32")
        file["weight"] = weight
        file["weight"].attrs.update(role="weight", of="y")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plugins):
    """A run of each kind, which tests only read, and their data."""
    folder = tmp_path_factory.mktemp("evaluated")
    data = {
        "digits": DIGITS,
        "cancer": cancer_file(folder / "cancer.h5"),
        "diabetes": regression_file(folder / "diabetes.h5"),
    }
    for name, file in data.items():
        recipe = network(file, name=name, data={"split": {"test": 0.3}} if name == "cancer" else {})
        train(recipe, runs=folder / "runs", plugins=plugins)
    return folder / "runs", data


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_classes_and_the_worst_rows(runs, plugins):
    root, data = runs
    found = evaluate("digits", runs=root, plugins=plugins)
    x, y = split(data["digits"], "test")
    chances = load("digits", runs=root, plugins=plugins).probabilities(x).double().numpy()
    predicted = chances.argmax(1)
    assert np.array(found.confusion.matrix()) == pytest.approx(confusion_matrix(y, predicted))
    assert found.mean_of_classes.support == len(y) == found.rows
    assert found.calibration.ece == pytest.approx(
        sum(b.weight * abs(b.accuracy - b.confidence) for b in found.calibration.bins if b.weight) / len(y)
    )
    losses = -np.log(chances[np.arange(len(y)), y])
    worst = np.argsort(-losses)[:5]
    assert [(each.row, each.place) for each in found.worst] == [(row, f"test/{row}") for row in worst]
    assert [each.loss for each in found.worst] == pytest.approx(losses[worst].tolist(), rel=1e-4)
    assert [each.true for each in found.worst] == [str(y[row]) for row in worst]
    assert [each.predicted for each in found.worst] == [str(predicted[row]) for row in worst]
    assert [each.probability for each in found.worst] == pytest.approx(chances[worst].max(1).tolist(), rel=1e-4)
    for name, interval in found.intervals.items():
        assert interval.low < found.metrics[name] < interval.high


def test_weights_and_groups_of_the_data_count(runs, plugins):
    root, data = runs
    found = evaluate("cancer", runs=root, worst=3, plugins=plugins)
    model = load("cancer", runs=root, plugins=plugins)
    with h5py.File(data["cancer"]) as file:
        x, y, weight, patient = (file[name][:] for name in ("x", "y", "weight", "patient"))
    chances = model.probabilities(torch.from_numpy(x))[:, 0].numpy()
    rows = np.array([int(each.place) for each in evaluate("cancer", runs=root, worst=10**6, plugins=plugins).worst])
    assert (weight[rows] > 0).all()  # rows that do not count are no worst rows
    own = weight[rows], y[rows], chances[rows]
    assert found.metrics["loss"] == pytest.approx(log_loss(own[1], own[2], sample_weight=own[0]), rel=1e-4)
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(own[1], own[2] > 0.5, sample_weight=own[0]))
    assert np.array(found.confusion.matrix()) == pytest.approx(
        confusion_matrix(own[1], own[2] > 0.5, sample_weight=own[0])
    )
    assert (found.bootstrap.units, found.bootstrap.count) == ("groups", len(set(patient[rows])))
    assert found.weighted
    first = found.worst[0]
    assert first.probability_of_true == pytest.approx(float(abs(1 - y[rows[0]] - chances[rows[0]])), rel=1e-3)
    assert first.loss == pytest.approx(-math.log(first.probability_of_true), rel=1e-3)


def test_targets_of_a_regression(runs, plugins):
    root, data = runs
    found = evaluate("diabetes", runs=root, plugins=plugins)
    x, y = split(data["diabetes"], "test")
    with torch.no_grad():
        said = load("diabetes", runs=root, plugins=plugins)(x).numpy()
    assert (found.confusion, found.calibration, found.classes) == (None, None, ())
    assert [each.name for each in found.targets] == ["y"]
    assert found.targets[0].r2 == pytest.approx(r2_score(y, said), rel=1e-4)
    assert found.targets[0].mae == pytest.approx(found.metrics["mae"])
    row = int(abs(said - y).argmax())
    assert (found.worst[0].row, found.worst[0].true) == (row, pytest.approx(float(y[row, 0])))
    assert found.worst[0].predicted == pytest.approx(float(said[row, 0]), rel=1e-4)
    assert found.worst[0].probability is None


def test_what_is_written_and_that_nothing_else_changes(runs, plugins, tmp_path):
    root, data = runs
    run = root / "diabetes/0001"
    before = bytes_of(run)
    found = evaluate("diabetes", runs=root, plugins=plugins)
    table, picture = write_evaluation(found)
    assert (table, picture) == (run / "evaluations/test.json", run / "evaluations/test.svg")
    assert json.loads(table.read_text()) == json.loads(json.dumps(found.as_json()))
    assert picture.read_text().startswith("<svg ")
    again = evaluate("diabetes", runs=root, data=data["diabetes"], ci=0, worst=0, plugins=plugins)
    assert [file.name for file in write_evaluation(again)] == ["diabetes-test.json", "diabetes-test.svg"]
    assert (again.intervals, again.bootstrap, again.worst) == ({}, None, ())
    assert again.metrics == found.metrics
    after = bytes_of(run)
    assert {path: content for path, content in after.items() if path.parent.name != "evaluations"} == before
    assert len(after) == len(before) + 4


def test_a_member_has_files_of_its_own(plugins, tmp_path):
    train(network(name="folds", train={"epochs": 1, "kfold": 2}), runs=tmp_path, plugins=plugins)
    files = write_evaluation(evaluate("folds@fold-1", split="fold", runs=tmp_path, plugins=plugins))
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "folds/0001/evaluations/fold@fold-1.json",
        "folds/0001/evaluations/fold@fold-1.svg",
    ]


def test_figures_that_are_not_finite_are_null_in_the_file(runs, plugins, tmp_path):
    found = evaluate("digits", runs=runs[0], plugins=plugins)
    (tmp_path / "run").mkdir()
    elsewhere = Address(RunDirectory(tmp_path / "run"))
    worst = replace(found.worst[0], loss=math.inf)
    broken = replace(found, run=elsewhere, metrics={"loss": math.nan}, intervals={"loss": None}, worst=(worst,))
    table = json.loads(write_evaluation(broken)[0].read_text())
    assert (table["metrics"], table["intervals"], table["worst"][0]["loss"]) == ({"loss": None}, {"loss": None}, None)


def test_a_folder_that_cannot_be_written_is_told(runs, plugins, tmp_path):
    train(network(name="full", train={"epochs": 1}), runs=tmp_path, plugins=plugins)
    (tmp_path / "full/0001/evaluations").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*full/0001/evaluations: File exists"):
        write_evaluation(evaluate("full", runs=tmp_path, plugins=plugins))


def test_a_number_of_rows_below_zero_is_refused(runs, plugins):
    with pytest.raises(UsageError, match=r"--worst is a number of rows, 0 or more; got -1: take 5"):
        evaluate("digits", runs=runs[0], worst=-1, plugins=plugins)
