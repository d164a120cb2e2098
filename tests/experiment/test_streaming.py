"""Training on data that stays on disk: the same machinery, another order, and no row that is not a member's own."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import dlcli
from dlcli.data.streamed_batches import StreamedBatches
from dlcli.experiment.prepare import prepare
from dlcli.recipe.load import load_recipe
from dlcli.training.network import build_network
from dlcli.training.regularization import Regularization


@pytest.fixture
def streamed(recipe):
    def make(**tables):
        found = recipe(**tables)
        return {**found, "data": {**found["data"], "memory": "0"}}

    return make


def batches_of(recipe, plugins):
    prepared = prepare(load_recipe(recipe, plugins.registry), plugins.registry)
    members = prepared.plan.members
    rows = torch.cat([member.training_rows for member in members])
    return StreamedBatches(prepared.dataset, torch.device("cpu"), rows, 0), members, prepared.dataset


def rows_of(batch, dataset, fitted):
    """Find which rows of the dataset a batch's inputs are."""
    whole = fitted(dataset.stored["x"][:])
    flat = whole.flatten(1)
    distances = torch.cdist(batch.inputs[0].flatten(1).double(), flat.double())
    least, places = distances.min(1)
    assert least.max() < 1e-3
    return places


def test_a_network_trains_and_says_that_it_was_streamed(folder, streamed, plugins):
    summary = dlcli.train(streamed(train={"epochs": 12, "optimizer": {"name": "adam", "lr": 1e-2}}), plugins=plugins)
    facts = json.loads((summary.run / "run.json").read_text())
    assert facts["data"]["streamed"] == ["x"]
    assert dlcli.evaluate(summary.run, plugins=plugins).metrics["accuracy"] > 0.9
    again = dlcli.train(summary.run / "recipe.toml", plugins=plugins)
    first, second = (load_file(run / "model/model.safetensors") for run in (summary.run, again.run))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any("x is streamed" in note for note in dlcli.build(streamed(), plugins=plugins).notes)


def test_figures_and_preprocessing_are_those_of_memory(folder, recipe, streamed, plugins):
    kept = dlcli.train(recipe(), plugins=plugins).run
    path = json.loads((kept / "run.json").read_text())["data"]["path"]
    inside = dlcli.evaluate(kept, plugins=plugins).metrics
    stored = dlcli.train(streamed(), plugins=plugins).run
    one, other = (load_file(run / "model/model.safetensors") for run in (kept, stored))
    for name in one:
        if name.startswith("preprocess"):
            torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)
    (stored / "model/model.safetensors").write_bytes((kept / "model/model.safetensors").read_bytes())
    found = dlcli.evaluate(stored, data=path, plugins=plugins).metrics
    assert found == pytest.approx(inside)


def test_resuming_goes_on_to_the_same_bits(folder, streamed, plugins):
    whole = dlcli.train(streamed(train={"epochs": 4, "checkpoint_seconds": 0.0}), plugins=plugins).run
    short = dlcli.train(streamed(train={"epochs": 2, "checkpoint_seconds": 0.0}), plugins=plugins).run
    text = (short / "recipe.toml").read_text()
    assert "epochs = 2" in text
    dlcli.train(resume=short, overrides=["train.epochs=4"], plugins=plugins)
    one, other = (load_file(run / "model/model.safetensors") for run in (whole, short))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_epoch_gives_a_member_each_of_its_rows_once(streamed, plugins):
    batches, members, dataset = batches_of(streamed(train={"epochs": 1, "kfold": 3}), plugins)
    for member in members[:2]:
        seen = []
        for batch in batches.training(member, 1):
            assert len(batch.target) == member.batch_size
            places = rows_of(batch, dataset, member.preprocessing["x"][0])
            assert torch.isin(places, member.training_rows).all()  # filler too is its own
            assert torch.equal(dataset.tensors["y"][places], batch.target)
            counts = torch.ones(len(places)) if batch.weight is None else batch.weight
            seen.append(places[counts > 0])
        found = torch.cat(seen)
        # Two digits of the file may be the very same picture.
        assert len(found) == len(member.training_rows)
        assert len(found.unique()) > 0.99 * len(found)


def test_a_stack_gets_what_each_member_gets_alone(streamed, plugins):
    batches, members, _ = batches_of(streamed(train={"epochs": 1, "kfold": 3}), plugins)
    alone = [list(batches.training(member, 2)) for member in members]
    for step, batch in enumerate(batches.stacked_training(members, 2)):
        for place, own in enumerate(alone):
            assert torch.equal(batch.inputs[0][place], own[step].inputs[0])
            assert torch.equal(batch.target[place], own[step].target)
            assert torch.equal(batch.weight[place], own[step].weight)
    assert step + 1 == len(alone[0]) == batches.steps(members[0])


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_folds_train_on_a_stream(folder, streamed, plugins, engine):
    train = {"epochs": 6, "kfold": 3, "engine": engine, "optimizer": {"name": "adam", "lr": 1e-2}}
    summary = dlcli.train(streamed(train=train), plugins=plugins)
    facts = json.loads((summary.run / "run.json").read_text())
    assert facts["population"]["out_of_fold"]["accuracy"] > 0.85


def test_a_bag_draws_rows_as_often_as_they_weigh(folder, streamed, plugins):
    train = {"epochs": 6, "optimizer": {"name": "adam", "lr": 1e-2}}
    run = dlcli.ensemble(streamed(train=train, ensemble={"strategy": "bagging", "members": 2}), plugins=plugins).run
    assert dlcli.evaluate(run, plugins=plugins).metrics["accuracy"] > 0.85


def test_a_search_runs_on_a_stream(folder, streamed, plugins):
    table = {"trials": 2, "space": {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-2]}}}
    summary = dlcli.tune(streamed(tune=table, train={"epochs": 2}), plugins=plugins)
    run = summary.run
    assert json.loads((summary.search.run / "run.json").read_text())["data"]["streamed"] == ["x"]
    assert dlcli.evaluate(run, plugins=plugins).metrics["accuracy"] > 0.3


@pytest.mark.parametrize("size", ["many", "-1GB", "2 PB", ""])
def test_a_size_that_is_none_is_told(recipe, plugins, size):
    found = recipe()
    with pytest.raises(dlcli.DlcliError, match=r"data\.memory: expected a size such as 500MB or 2GB; got"):
        dlcli.build({**found, "data": {**found["data"], "memory": size}}, plugins=plugins)


def test_rows_that_a_fold_holds_out_are_mixed_into_none(streamed, plugins):
    """A batch without any row of a member's own has others, which then stay with themselves."""
    train = {"epochs": 1, "kfold": 3, "batch_size": 16}
    batches, members, dataset = batches_of(streamed(train=train, regularizers=["mixup"]), plugins)
    lone = replace(members[0], training_rows=members[0].training_rows[:20])
    regularization = Regularization(lone.regularizers, build_network(lone, torch.device("cpu")), ("x",))
    streams = regularization.streams(lone.seed, 1, torch.device("cpu"))
    empty = 0
    for batch in batches.training(lone, 1):
        noises = regularization.draw(lone.regularizers, streams, batch.inputs, {})
        mixed = regularization.changed_batch(lone.regularizers, batch, noises)
        empty += not batch.weight.any()
        own = batch.weight > 0
        known = dataset.tensors["y"][lone.training_rows]
        assert torch.isin(mixed.targets[1][own], known).all()
        assert torch.equal(mixed.targets[1][~own], batch.target[~own])
        share = mixed.weight
        for row in own.nonzero().flatten():
            partner = (mixed.inputs[0][row] - share * batch.inputs[0][row]) / (1 - share)
            distances = (batch.inputs[0][own] - partner).flatten(1).abs().amax(1)
            assert share > 0.9 or distances.min() < 1e-3
    assert empty
