"""Comparisons of runs, with scipy's tests on the outputs of the loaded models as the oracle."""

import json
import math

import h5py
import numpy as np
import pytest
import torch
from ensembles import DIGITS, network, split
from scipy import stats
from torch.nn import functional

from dlcli.errors import DataError, UsageError
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.evaluation.compare import compare
from dlcli.experiment.evaluation.files import write_comparison
from dlcli.experiment.load import load
from dlcli.experiment.train import train


def flat_file(path, seed=0):
    """Rows without splits, and two targets to choose from."""
    generator = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file["x"] = generator.normal(size=(120, 3)).astype("float32")
        for name in ("y", "z"):
            file[name] = generator.integers(0, 2, 120)
    return path


def flat(file, name, seed=0, target="y", classes=("no", "yes")):
    fields = {"x": "x", "y": {"path": target, "role": "target", "classes": list(classes)}}
    data = {"path": str(file), "fields": fields, "split": {"test": 0.5}}
    return {"name": name, "seed": seed, "data": data, "model": {"architecture": "logistic"}, "train": {"epochs": 1}}


@pytest.fixture(scope="module")
def root(tmp_path_factory, plugins):
    """Runs that tests only read."""
    folder = tmp_path_factory.mktemp("compared")
    file, other = flat_file(folder / "flat.h5"), flat_file(folder / "other.h5", seed=1)
    recipes = [
        network(name="good", train={"epochs": 8}),
        network(name="bad", train={"epochs": 2, "metrics": ["ece", "accuracy"]}),
        network(name="smooth", train={"epochs": 8, "loss": {"name": "cross_entropy", "label_smoothing": 0.1}}),
        network(name="seeds", train={"epochs": 1, "seeds": 2}),
        flat(file, "flat"),
        flat(file, "divided", seed=1),
        flat(file, "target", target="z"),
        flat(file, "classes", classes=("bad", "good", "best")),
        flat(other, "other"),
    ]
    for recipe in recipes:
        train(recipe, runs=folder / "runs", plugins=plugins)
    return folder / "runs"


def outputs(root, plugins, *names):
    x, y = split(DIGITS, "test")
    with torch.no_grad():
        return [load(name, runs=root, plugins=plugins)(x) for name in names], torch.from_numpy(y).long()


def test_the_tests_are_scipys(root, plugins):
    found = compare("good", "bad", runs=root, plugins=plugins)
    (good, bad), y = outputs(root, plugins, "good", "bad")
    difference = functional.cross_entropy(bad, y, reduction="none") - functional.cross_entropy(
        good, y, reduction="none"
    )
    assert found.differences["loss"] == pytest.approx(float(difference.mean()), rel=1e-4)
    assert found.loss_test.p_value <= 2e-4
    assert stats.ttest_1samp(difference, 0).pvalue < 1e-4
    right = [each.argmax(1) == y for each in (good, bad)]
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (found.mcnemar.first_alone, found.mcnemar.second_alone) == alone
    assert found.mcnemar.p_value == pytest.approx(stats.binomtest(alone[0], sum(alone)).pvalue)
    expected = stats.bootstrap(
        (difference.double().numpy(),), np.mean, method="percentile", rng=np.random.default_rng(0)
    )
    interval = found.intervals["loss"]
    error = 0.15 * expected.standard_error
    assert interval.low == pytest.approx(expected.confidence_interval.low, abs=error)
    assert interval.high == pytest.approx(expected.confidence_interval.high, abs=error)
    # Paired: narrower than if the rows of the second had been others.
    each = [evaluate(name, runs=root, plugins=plugins).intervals["loss"] for name in ("good", "bad")]
    assert interval.high - interval.low < math.hypot(*(one.high - one.low for one in each))
    assert found.verdict.startswith("The first has the smaller loss, by ")
    assert "beyond chance on 270 rows" in found.verdict


def test_both_are_judged_alike_by_all_metrics(root, plugins):
    found = compare("bad", "smooth", runs=root, ci=0, plugins=plugins)
    assert list(found.metrics[0]) == list(found.metrics[1]) == ["loss", "ece", "accuracy"]
    assert found.directions == {"loss": "min", "ece": "min", "accuracy": "max"}
    (smooth,), y = outputs(root, plugins, "smooth")
    assert found.metrics[1]["loss"] == pytest.approx(float(functional.cross_entropy(smooth, y)), rel=1e-4)
    assert any("both are judged by that of" in note for note in found.notes)
    assert (found.intervals, found.bootstrap) == ({}, None)
    assert found.loss_test is not None
    turned = compare("smooth", "bad", runs=root, plugins=plugins)
    assert turned.metrics[0]["loss"] > found.metrics[1]["loss"]  # smoothed labels cost more


def test_a_run_is_not_compared_with_itself(root, plugins):
    with pytest.raises(UsageError, match="both are .*good.0001; name two runs, or two members of one"):
        compare("good", "good", runs=root, plugins=plugins)


def test_training_rows_bear_no_verdict(root, plugins):
    found = compare("seeds@seed-0", "seeds", split="train", runs=root, plugins=plugins)
    assert "how well it remembers them, not how good it is" in found.verdict


def test_what_rows_cannot_tell_is_said_and_what_would(root, plugins):
    found = compare("seeds@seed-0", "seeds", split="val", runs=root, plugins=plugins)
    assert any("chose the best epoch of each" in note for note in found.notes)
    assert "another seed" in found.limits[0]
    population = json.loads((root / "seeds/0001/run.json").read_text())["population"]
    mean, spread = (population[part]["val"]["loss"] for part in ("mean", "spread"))
    assert f"is the mean of 2 seeds; each network alone has a loss of {mean:.4f} ± {spread:.4f}" in found.limits[1]
    assert "--seeds 10" in found.limits[2]


def test_few_rows_that_differ_by_chance_do_not_tell_two_apart(root, plugins):
    found = compare("flat", "divided", split="all", runs=root, plugins=plugins)
    assert found.loss_test.p_value > 0.05
    assert found.verdict.startswith("These 120 rows do not tell the two apart: ")
    assert "That does not show that they are equally good." in found.verdict


def test_other_rows_or_targets_are_refused(root, plugins):
    with pytest.raises(UsageError, match=r"are of different data: .* give a file that both can answer with --data"):
        compare("flat", "other", runs=root, plugins=plugins)
    with pytest.raises(UsageError, match=r"the test rows of .* are not the same \(60 and 60\): .* give a file of rows"):
        compare("flat", "divided", runs=root, plugins=plugins)
    with pytest.raises(DataError, match=r"the target of .* is not the same: .* by\s+\[data.fields\]"):
        compare("flat", "target", runs=root, split="all", plugins=plugins)
    with pytest.raises(DataError, match=r"answer different questions: binary, 2 classes and multiclass, 3 classes; "):
        compare("flat", "classes", runs=root, plugins=plugins)
    with pytest.raises(UsageError, match=r"are of different data"):
        compare("flat", "good", runs=root, plugins=plugins)
    shared = compare("flat", "other", data=root.parent / "other.h5", runs=root, plugins=plugins)
    assert shared.rows == 120


def test_it_is_kept_with_the_first_run(root, plugins):
    kept = write_comparison(compare("good", "seeds@seed-0", runs=root, plugins=plugins))
    assert [str(file.relative_to(root)) for file in kept] == [
        "good/0001/evaluations/test-against-seeds-0001@seed-0.json"
    ]
    table = json.loads(kept[0].read_text())
    assert table["metrics"]["difference"]["loss"] == pytest.approx(
        table["metrics"]["second"]["loss"] - table["metrics"]["first"]["loss"]
    )
