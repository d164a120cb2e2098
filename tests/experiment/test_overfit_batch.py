import math

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.task import Task
from dlcli.errors import RecipeError, TrainingError
from dlcli.experiment.build import build
from dlcli.experiment.overfit_batch import overfit_batch
from dlcli.experiment.overfitting import attempt
from dlcli.experiment.overfitting.attempt import STEPS
from dlcli.experiment.overfitting.bare import switch_off_randomness, without_regularization
from dlcli.experiment.overfitting.bounds import best_loss
from dlcli.experiment.overfitting.causes import causes
from dlcli.experiment.overfitting.sameness import contradictions, is_causal, same_beginnings, same_rows
from dlcli.experiment.prepare import prepare
from dlcli.layers.dropout import Dropout
from dlcli.recipe.load import load_recipe

ROWS = 12
STANDARDIZE = ["standardize"]


@pytest.fixture
def data(folder):
    """A file of random inputs and targets that have nothing to do with them, to be learnt by heart alone."""

    def make(x=None, attributes=None, **fields):
        generator = np.random.default_rng(0)
        x = generator.normal(size=(ROWS + 4, 6)).astype("float32") if x is None else x
        written = {"x": (x, attributes or {}), **fields}
        with h5py.File("data.h5", "w") as file:
            for split, rows in (("train", slice(0, ROWS)), ("val", slice(ROWS, None))):
                for name, (values, attached) in written.items():
                    file[f"{split}/{name}"] = values[rows]
                    file[f"{split}/{name}"].attrs.update(attached)

    return make


@pytest.fixture
def short(monkeypatch):
    """Few steps an attempt, where it is not to succeed."""
    monkeypatch.setattr(attempt, "STEPS", 150)


def given(model=None, data=None, **train):
    return {
        "name": "rows",
        "data": {"path": "data.h5", "preprocess": STANDARDIZE, **(data or {})},
        "model": {"architecture": "mlp", "hidden": [64], **(model or {})},
        "train": {"optimizer": {"name": "adam", "lr": 1e-2}, **train},
    }


def answers(kind):
    """Targets of a kind, and their attributes."""
    generator = np.random.default_rng(1)
    if kind == "regression":
        return generator.normal(size=(ROWS + 4, 2)).astype("float32"), {}
    if kind == "multilabel":
        return generator.integers(0, 2, (ROWS + 4, 3)).astype("uint8"), {"classes": ["a", "b", "c"]}
    classes = ["a", "b"] if kind == "binary" else ["a", "b", "c"]
    return generator.integers(0, len(classes), ROWS + 4), {"classes": classes}


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("multiclass", "cross_entropy"),
        ("multiclass", {"name": "cross_entropy", "class_weights": [1.0, 2.0, 3.0]}),
        ("multiclass", "hinge"),
        ("multiclass", "focal"),
        ("binary", "binary_cross_entropy"),
        ("binary", "squared_hinge"),
        ("multilabel", "binary_cross_entropy"),
        ("regression", "mse"),
        ("regression", "mae"),
        ("regression", {"name": "quantile", "level": 0.9}),
        ("regression", "epsilon_insensitive"),
        ("regression", "huber"),
        ("regression", "gaussian_nll"),
    ],
)
def test_every_task_and_loss_is_learnt_by_heart(data, plugins, kind, loss):
    data(y=answers(kind))
    found = overfit_batch(given(loss=loss), plugins=plugins)
    assert found.reached, found
    assert found.best is found.attempts[0]
    assert found.floor == pytest.approx(0, abs=1e-6)
    assert found.goal == pytest.approx(0.01 * found.blind, abs=1e-6)
    assert found.best.losses[-1] <= found.goal < found.first
    assert found.best.accuracy == (None if kind == "regression" else 1.0)
    assert found.rows == ROWS
    assert not found.causes


def test_a_likelihood_without_a_floor_gives_way_to_the_error_of_its_predictions(data, plugins):
    data(y=answers("regression"))
    found = overfit_batch(given(loss="gaussian_nll"), plugins=plugins)
    assert "gaussian_nll, whose value has no floor, for the squared error of its predictions" in found.switched_off
    squared = overfit_batch(given(loss="mse"), plugins=plugins)
    assert found.blind == pytest.approx(squared.blind)
    assert not any("alike" in note for note in found.notes)


def test_the_first_loss_is_that_of_build_and_the_blind_one_is_that_of_the_classes_shares(folder, plugins, recipe):
    found = overfit_batch(recipe(), plugins=plugins)
    assert found.first == found.attempts[0].losses[0] == pytest.approx(build(recipe(), plugins=plugins).loss_value)
    member = prepare(load_recipe(recipe(), plugins.registry), plugins.registry).member
    assert found.blind <= math.log(member.io.outputs)


def test_nothing_is_left_and_no_stream_is_moved_and_it_is_the_same_again(folder, plugins, recipe):
    streams, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, second = (overfit_batch(recipe(), plugins=plugins) for _ in range(2))
    assert first.attempts[0].losses == second.attempts[0].losses
    assert torch.equal(torch.random.get_rng_state(), streams)
    assert torch.get_num_threads() == threads
    assert not list(folder.iterdir())


def test_the_steps_are_those_of_a_hand_written_loop(data, plugins):
    """torch's SGD on the whole of the data, at a rate that falls as a cosine."""
    data(y=answers("multiclass"))
    recipe = given(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.5}, batch_size=ROWS)
    found = overfit_batch(recipe, plugins=plugins)
    member = prepare(load_recipe(recipe, plugins.registry), plugins.registry).member
    with h5py.File("data.h5") as file:
        x, y = torch.tensor(file["train/x"][:]), torch.tensor(file["train/y"][:])
    x = (x - x.mean(0)) / x.std(0, correction=0)
    from dlcli.training.network import build_network

    network = build_network(member, torch.device("cpu"))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    expected = []
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * step / STEPS)) / 2
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert list(found.attempts[0].losses[:20]) == pytest.approx(expected, rel=1e-3)


def test_what_stands_in_the_way_is_off_and_told(data, plugins):
    data(y=answers("multiclass"))
    recipe = given(
        {"dropout": 0.5, "activation": "rrelu"},
        loss={"name": "cross_entropy", "label_smoothing": 0.2},
        optimizer={"name": "adamw", "lr": 1e-2, "weight_decay": 0.3},
    )
    recipe["regularizers"] = [{"name": "mixup"}, {"name": "clip_gradients"}, {"name": "l2"}, {"name": "early_stopping"}]
    found = overfit_batch(recipe, plugins=plugins)
    assert found.reached
    assert found.floor == pytest.approx(0, abs=1e-6)
    assert found.switched_off[:4] == ("mixup", "l2", "weight decay 0.3", "label smoothing 0.2")
    assert found.switched_off[-1].startswith("dropout")
    assert any("RandomizedLeakyReLU" in text for text in found.switched_off)


def test_gradients_may_still_be_clipped(data, plugins):
    data(y=answers("multiclass"))
    recipe = {**given(), "regularizers": [{"name": "clip_gradients"}, {"name": "weight_noise"}]}
    member, off = without_regularization(prepare(load_recipe(recipe, plugins.registry), plugins.registry).member)
    assert [regularizer.name for regularizer in member.regularizers] == ["clip_gradients"]
    assert off == ("weight_noise",)


def test_all_that_is_random_is_switched_off_and_nothing_else():
    network = nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.AlphaDropout(0.5), Dropout(0.5), Dropout(0.0),
        Dropout(0.3, "rows"), nn.RReLU(),
    ).train()  # fmt: skip
    recurrent = nn.LSTM(4, 4, num_layers=2, dropout=0.5)
    told = switch_off_randomness(nn.ModuleList([network, recurrent]))
    assert told == ("dropout in 4 layers", "stochastic depth", "the randomness of RReLU")
    x = torch.randn(8, 4)
    assert torch.equal(network(x), network(x))
    assert torch.equal(recurrent(x)[0], recurrent(x)[0])
    assert network[1].training
    assert network[0].training


def test_a_linear_model_is_too_small_for_a_batch(data, plugins, short):
    data(y=answers("regression"))
    found = overfit_batch({**given(), "model": {"architecture": "linear"}}, plugins=plugins)
    assert not found.reached
    assert [attempt.optimizer for attempt in found.attempts] == ["adam"] * 4
    assert found.causes[-1].startswith(
        "a linear network: its answers are an affine map of its inputs, which with 14 trained"
    )
    assert found.as_json()["reached"] is False


def test_a_rate_that_is_too_low_is_told_apart_from_a_network_that_cannot_learn(data, plugins):
    data(y=answers("multiclass"))
    found = overfit_batch(given(optimizer={"name": "sgd", "lr": 1e-7}), plugins=plugins)
    assert found.reached
    assert not found.attempts[0].reached
    assert found.attempts[-1].reached
    assert "not with the recipe's own sgd at 1e-07" in found.notes[0]
    assert found.attempts[0].ended == "the loss did not fall for 100 steps"
    assert found.attempts[1].optimizer == "adam"


def test_a_loss_that_diverges_is_told(data, plugins):
    data(y=answers("regression"))
    found = overfit_batch(given(optimizer={"name": "sgd", "lr": 1e6}), plugins=plugins)
    assert found.attempts[0].diverged
    assert found.attempts[0].ended.startswith("the loss became ")
    assert found.reached


def test_a_loss_that_is_not_finite_before_any_step_is_an_error(data, plugins):
    data(y=(np.full((ROWS + 4, 1), 1e30, dtype="float32"), {}))
    with pytest.raises(TrainingError, match=r"the loss of the batch is inf before any step: .* dlcli data check "):
        overfit_batch(given(), plugins=plugins)


@pytest.mark.parametrize("memory", ["1GB", "0"])
def test_rows_that_contradict_one_another_are_named(data, plugins, memory):
    x = np.random.default_rng(0).normal(size=(ROWS + 4, 6)).astype("float32")
    x[7] = x[2]
    x[9] = x[5]
    y = np.arange(ROWS + 4) % 3
    y[9] = y[5]  # the same inputs and the same class are no contradiction
    data(x, y=(y, {"classes": ["a", "b", "c"]}))
    found = overfit_batch(given(data={"memory": memory}), plugins=plugins)
    assert not found.reached
    assert len(found.attempts) == 1  # no other rate can do better
    (cause,) = found.causes
    assert cause.startswith("identical inputs with different targets: rows train/")
    assert "train/2 (c)" in cause
    assert "train/7 (b)" in cause
    assert "train/9" not in cause
    assert f"below a loss of {2 * math.log(2) / ROWS:.4g}:" in cause


def test_large_targets_are_told(data, plugins, short):
    data(y=(answers("regression")[0] * 1000 + 5000, {}))
    found = overfit_batch(given(optimizer={"name": "sgd", "lr": 1e-9}), plugins=plugins)
    assert not found.reached
    assert found.causes[0].startswith("the size of the targets: they are about 5")


def test_targets_are_scaled_where_the_recipe_says_so(data, plugins):
    data(y=(answers("regression")[0] * 1000 + 5000, {}))
    found = overfit_batch(given(data={"scale_target": True}), plugins=plugins)
    assert found.reached
    assert found.blind == pytest.approx(1.0)


def test_targets_that_are_alike_prove_little(data, plugins):
    data(y=(np.zeros(ROWS + 4, dtype=int), {"classes": ["a", "b"]}))
    found = overfit_batch(given(), plugins=plugins)
    assert found.reached
    assert found.notes == (
        "all targets of the batch are alike, so that a constant answers them: that it is learnt proves little",
    )


def test_of_several_folds_it_takes_the_first_and_filler_does_not_count(data, plugins):
    data(y=answers("multiclass"))
    found = overfit_batch(given(kfold=4, batch_size=64), plugins=plugins)
    member = prepare(load_recipe(given(kfold=4), plugins.registry), plugins.registry).plan.members[0]
    assert found.rows == len(member.training_rows) < ROWS + 4
    assert found.reached


@pytest.mark.parametrize("architecture", ["lstm", "transformer"])
def test_sequences_of_different_lengths_are_learnt(data, plugins, architecture):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS + 4, 5, 3)).astype("float32")
    lengths = (generator.integers(1, 6, ROWS + 4), {"role": "length", "of": "x"})
    data(x, {"kind": "sequence"}, n=lengths, y=answers("multiclass"))
    size = {"hidden": 16} if architecture == "lstm" else {"width": 16, "layers": 1}
    recipe = {**given(), "model": {"architecture": architecture, **size}}
    assert overfit_batch(recipe, plugins=plugins).reached


@pytest.mark.parametrize("bidirectional", [False, True])
def test_near_zero_is_near_what_can_be_told_from_the_positions_before(data, plugins, bidirectional):
    x = np.random.default_rng(0).integers(0, 3, (ROWS + 4, 4))
    y = np.roll(x, -1, axis=1)
    data(x, {"kind": "tokens", "classes": list("abc")}, y=(y, {"classes": list("abc")}))
    model = {"architecture": "lstm", "hidden": 32, "bidirectional": bidirectional, "inputs": ["embed"]}
    recipe = {**given(), "data": {"path": "data.h5"}, "model": model}
    found = overfit_batch(recipe, plugins=plugins)
    assert found.reached
    if bidirectional:
        assert found.floor == pytest.approx(0, abs=1e-6)
        assert not found.notes
        return
    # By hand: the entropy of what comes next among the rows that begin alike.
    total = 0.0
    for step in range(4):
        for row in range(ROWS):
            alike = [other for other in range(ROWS) if (x[other, : step + 1] == x[row, : step + 1]).all()]
            total -= math.log(np.mean([y[other, step] == y[row, step] for other in alike]))
    assert found.floor == pytest.approx(total / (4 * ROWS), rel=1e-3)
    assert "some rows begin alike and go on differently" in found.notes[0]


def test_frozen_parameters_and_dead_units_are_causes(data, plugins, short):
    data(y=answers("binary"))
    recipe = given(freeze="blocks.*", optimizer={"name": "sgd", "lr": 1e-7})
    member = prepare(load_recipe(recipe, plugins.registry), plugins.registry).member
    network = member.architecture.build(member.io)
    with torch.no_grad():
        network.blocks[0].affine.bias[:40] = -100.0
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith("blocks"))
    batch = Batch((torch.randn(8, 6),), torch.zeros(8, 1))
    found = overfit_batch(given({"hidden": [1]}, freeze="blocks.*"), plugins=plugins)
    assert any(cause.startswith("frozen parameters: only 2 of 9") for cause in found.causes)
    told = list(causes(found.attempts, member, batch, network, [], 0.0, 0.0))
    dead = next(cause for cause in told if cause.startswith("dead units"))
    units = network.blocks[0](batch.inputs[0])
    constant = int((units.amax(0) == units.amin(0)).sum())  # the 40, and those that random weights have made so
    assert constant >= 40
    assert f"{constant} of 64 of blocks.0.activation" in dead


def test_a_wrong_recipe_is_told_as_everywhere(folder, plugins, recipe):
    with pytest.raises(RecipeError, match=r"train\.epochs"):
        overfit_batch(recipe(), overrides=["train.epochs=0"], plugins=plugins)


def test_progress_is_told_at_every_step(folder, plugins, recipe):
    told = []
    found = overfit_batch(recipe(), progress=lambda *each: told.append(each), plugins=plugins)
    assert [step for _, step, _, _ in told] == list(range(len(found.best.losses)))
    assert {(name, steps) for name, _, steps, _ in told} == {("adam 0.003", STEPS)}


def test_which_rows_are_the_same():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])
    batch = Batch((x,), torch.tensor([0, 1, 1]))
    assert same_rows(batch).tolist() == [0, 0, 1]
    assert contradictions(batch, same_rows(batch)) == [[0, 1]]
    assert contradictions(batch._replace(weight=torch.tensor([1.0, 0.0, 1.0])), same_rows(batch)) == []
    assert same_rows(batch._replace(conditions=(torch.tensor([[1.0], [2.0], [2.0]]),))).tolist() == [0, 1, 2]
    # Behind the length of a row anything may stand.
    sequence = batch._replace(inputs=(x.unsqueeze(-1),), lengths=torch.tensor([1, 1, 1]))
    assert same_rows(sequence).tolist() == [0, 0, 0]
    assert same_rows(sequence._replace(lengths=torch.tensor([2, 2, 2]))).tolist() == [0, 0, 1]


def test_beginnings_are_the_same_up_to_where_rows_differ():
    batch = Batch((torch.tensor([[1, 2, 3], [1, 2, 4], [2, 2, 3]]),), torch.zeros(3, 3))
    assert same_beginnings(batch).tolist() == [[0, 1, 2], [0, 1, 3], [4, 5, 6]]


@pytest.mark.parametrize(("causal", "expected"), [(True, True), (False, False)])
def test_whether_answers_see_later_positions(plugins, causal, expected):
    about = InputOutput((Field("x", "input", "sequence", (6, 3), "float32"),), Task.MULTICLASS, 4, per_position=True)
    network = plugins.registry.create("architecture", "transformer", width=8, causal=causal).build(about)
    batch = Batch((torch.randn(5, 6, 3),), torch.zeros(5, 6))
    assert is_causal(network, batch) is expected
    assert network.training


def test_the_best_loss_of_a_smoothed_target_is_that_of_the_smoothed_answer(plugins):
    """Its least value is the entropy of the target: −Σ t log t."""
    loss = plugins.registry.create("loss", "cross_entropy", label_smoothing=0.1)
    about = InputOutput((), Task.MULTICLASS, 4)
    batch = Batch((), torch.tensor([0, 1, 2, 3]))
    target = [0.925, 0.025, 0.025, 0.025]
    entropy = -sum(share * math.log(share) for share in target)
    found = best_loss(loss, about, batch, torch.arange(4))
    assert entropy <= found < entropy + 0.02


@pytest.mark.parametrize("name", ["mse", "mae", "quantile", "huber"])
def test_the_best_blind_answer_of_a_regression(plugins, name):
    loss = plugins.registry.create("loss", name)
    about = InputOutput((), Task.REGRESSION, 1)
    target = torch.tensor([[0.0], [0.5], [1.0]])
    batch = Batch((), target)
    expected = min(float(loss.values(torch.full((3, 1), c), target).mean()) for c in np.linspace(-1, 2, 301))
    assert best_loss(loss, about, batch, torch.zeros(3, dtype=torch.int64)) == pytest.approx(expected, abs=1e-4)
