"""Nothing leaks: over random labels, whatever is said of rows that were not seen is right as often as a coin.

Each relabeling draws new inputs and labels of 40 rows to train on, 20 that decide and 20 to test. Validation and test
labels are coins. So are training labels where bags are drawn from them; where folds are, they are balanced, as folds
then are too: otherwise the rows left out tell, by what they lack or have too much of, how the others are labelled.
"""

import functools
import importlib.metadata
import math
import shutil

import h5py
import numpy as np
import pytest
import torch
from ensembles import network

from dlcli.builtin.ensembles import bagging, stacking
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.ensembling import close as ensemble_close
from dlcli.experiment.ensembling.members import MemberRoom
from dlcli.experiment.train import train

RELABELINGS = 100
FEWER = 40
"""Of them where a leak is to be found out."""
STUDENT = 1.984
"""The 97.5 % quantile of Student's t with 99 degrees of freedom."""
SECTIONS = {
    "voting": {"members": 2},
    "bagging": {"members": 3},
    "adaboost": {"members": 2},
    "gradient_boosting": {"members": 2},
    "stacking": {"strategy": {"name": "stacking", "folds": 2, "meta_epochs": 3}, "members": 2},
    "greedy": {"strategy": {"name": "greedy", "steps": 3}, "members": 2},
    "checkpoints": {"members": 2},
    "average_weights": {"members": 2},
    "soup": {"members": 2},
    "ema": {"strategy": {"name": "ema", "decay": 0.5}},
    "swa": {"strategy": {"name": "swa", "start": 0.4}},
    "snapshot": {"members": 2},
    "fast_geometric": {"strategy": {"name": "fast_geometric", "pretrain": 0.5, "cycle_epochs": 1}, "members": 2},
}


def relabelled(folder, number, coins):
    """Write a relabeling; return its file."""
    generator = np.random.default_rng([number, coins])
    x = generator.normal(size=(80, 4)).astype("float32")
    y = generator.integers(0, 2, 80)
    if not coins:
        y[:40] = generator.permutation(np.arange(40) % 2)
        y[40:60] = generator.permutation(np.arange(20) % 2)
    path = folder / f"{number}-{coins}.h5"
    with h5py.File(path, "w") as file:
        for split, rows in (("train", slice(0, 40)), ("val", slice(40, 60)), ("test", slice(60, 80))):
            file[f"{split}/x"], file[f"{split}/y"] = x[rows], y[rows]
            file[f"{split}/y"].attrs["classes"] = ["no", "yes"]
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relabelled")
    return {coins: [relabelled(folder, n, coins) for n in range(RELABELINGS)] for coins in (False, True)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Leave out what costs time and decides nothing: whether a file outlives a power cut, git, versions, timings."""
    monkeypatch.setattr("dlcli.atomic.sync", lambda path: None)
    monkeypatch.setattr("importlib.metadata.version", functools.cache(importlib.metadata.version))
    for command in ("ensemble", "train"):
        monkeypatch.setattr(f"dlcli.experiment.{command}.git_state", lambda: None)
    monkeypatch.setattr(ensemble_close, "seconds_alone", lambda *_: 1.0)
    monkeypatch.setattr(ensemble_close, "fit_temperature", lambda *_: 1.0)


def recipe(file, seed, name, select="best", epochs=4, **tables):
    learning = {"epochs": epochs, "batch_size": 40, "checkpoint_seconds": 1e9, "optimizer": {"name": "adam", "lr": 0.1}}
    model = {"architecture": "mlp", "hidden": [12]}
    train = {**learning, "monitor": "val_accuracy", "metrics": ["accuracy"], "select": select}
    return network(file, name=name, seed=seed, model=model, train=train, **tables)


@pytest.fixture
def outcomes(folder, plugins, files):
    """Yield what a strategy comes to for each relabeling; nothing stays on disk."""

    def make(strategy, count=RELABELINGS):
        for number, file in enumerate(files[strategy == "bagging"][:count]):
            section = {"strategy": strategy, **SECTIONS[strategy]}
            # Boosting does not begin with a network that is no better than chance on its own rows.
            long = {"select": "last", "epochs": 12} if strategy == "adaboost" else {}
            yield ensemble(recipe(file, number, "null", **long, ensemble=section), plugins=plugins)
            shutil.rmtree(folder / "runs")

    return make


def interval(scores):
    """The 95 % interval of the mean."""
    mean, error = np.mean(scores), np.std(scores, ddof=1) / math.sqrt(len(scores))
    return mean - STUDENT * error, mean + STUDENT * error


def covers_chance(scores):
    low, high = interval(scores)
    assert high - low < 0.12, "too wide to find a leak"
    return low <= 0.5 <= high


@pytest.mark.parametrize("strategy", sorted(SECTIONS.keys() - {"stacking", "voting"}))
def test_the_test_part_of_random_labels_is_a_coin(outcomes, strategy):
    found = list(outcomes(strategy))
    scores = [outcome.test["accuracy"] for outcome in found]
    assert covers_chance(scores), interval(scores)
    # What there is to learn they do learn: the rows that they train on.
    assert interval([outcome.train["accuracy"] for outcome in found])[0] > 0.55
    if strategy == "bagging":
        scores = [outcome.unseen["accuracy"] for outcome in found]
        assert covers_chance(scores), interval(scores)


@pytest.fixture
def fed(monkeypatch):
    """How often the answers that a meta-model trains on are right, for each stack."""
    found = []
    real = MemberRoom.make

    def make(self, specification):
        if specification.identity == "meta":
            rows = self._training_rows
            right = (specification.fed["answers"][rows] > 0.5) == (self._dataset.tensors["y"][rows] > 0.5)
            found.append(float(right.double().mean()))
        return real(self, specification)

    monkeypatch.setattr(MemberRoom, "make", make)
    return found


def test_what_a_stack_learns_from_and_says_of_random_labels_is_a_coins(outcomes, fed):
    scores = [outcome.test["accuracy"] for outcome in outcomes("stacking")]
    assert covers_chance(scores), interval(scores)
    assert len(fed) == RELABELINGS
    assert covers_chance(fed), interval(fed)


def test_a_vote_and_its_student_of_random_labels_are_coins(outcomes, plugins):
    scores, students = [], []
    for outcome in outcomes("voting"):
        scores.append(outcome.test["accuracy"])
        student = ensemble(outcome.run, strategy="distill", name="student", plugins=plugins)
        students.append(student.test["accuracy"])
    assert covers_chance(scores), interval(scores)
    assert covers_chance(students), interval(students)


def test_what_greedy_chooses_cross_validated_runs_by_is_a_coins(folder, plugins, files):
    scores, test = [], []
    for number, file in enumerate(files[False]):
        for name in ("one", "two"):
            train(recipe(file, number + 1000 * (name == "two"), name), kfold=2, plugins=plugins)
        outcome = ensemble("one", "two", strategy="greedy", plugins=plugins)
        scores.append(np.mean([member.score for member in outcome.members]))
        test.append(outcome.test["accuracy"])
        shutil.rmtree(folder / "runs")
    assert covers_chance(scores), interval(scores)
    assert covers_chance(test), interval(test)


def test_a_bag_that_scores_rows_that_it_drew_is_found_out(outcomes, monkeypatch):
    real = bagging._OutOfBag.add
    nothing = torch.empty(0, dtype=torch.int64)
    monkeypatch.setattr(bagging._OutOfBag, "add", lambda self, member, drawn: real(self, member, nothing))
    scores = [outcome.unseen["accuracy"] for outcome in outcomes("bagging", FEWER)]
    assert not covers_chance(scores)
    assert np.mean(scores) > 0.55


def test_base_members_that_answer_for_rows_that_they_saw_are_found_out(outcomes, fed, monkeypatch):
    real = stacking._answers

    def leaking(groups, rows, context):
        whole = tuple((member.partition("-fold-")[0],) for member, *_ in groups)
        return real(whole, rows, context)

    monkeypatch.setattr(stacking, "_answers", leaking)
    for _ in outcomes("stacking", FEWER):
        pass
    assert not covers_chance(fed)
    assert np.mean(fed) > 0.55


def test_training_on_test_rows_is_found_out(outcomes, monkeypatch):
    real = MemberRoom.__init__

    def leaking(self, recipe, dataset, training_rows, validation_rows):
        real(self, recipe, dataset, torch.cat([training_rows, dataset.splits["test"]]), validation_rows)

    monkeypatch.setattr(MemberRoom, "__init__", leaking)
    scores = [outcome.test["accuracy"] for outcome in outcomes("voting", FEWER)]
    assert not covers_chance(scores)
    assert np.mean(scores) > 0.55
