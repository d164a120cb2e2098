"""The switches of a recipe, through every command that trains."""

import io
import json

import pytest
import torch
from safetensors.torch import load_file

import dlcli
from dlcli.errors import RecipeError, TrainingError, UsageError
from dlcli.experiment.find_lr import find_lr
from dlcli.experiment.prepare import prepare
from dlcli.recipe.load import load_recipe
from dlcli.report.preflight import preflight_view
from dlcli.training.switched_step import SwitchedStep

TRAIN = {"epochs": 2, "optimizer": {"name": "adam", "lr": 3e-3}}
ALL = {
    "accumulate": 2,
    "precision": "bfloat16",
    "activation_checkpointing": True,
    "sampling": "class_balanced",
    "deterministic": True,
}


@pytest.fixture
def steps(monkeypatch):
    """Counts the batches of every step with switches."""
    counts = []
    taking = SwitchedStep.__call__

    def take(self, batch):
        counts.append(len(batch) if isinstance(batch, list) else 1)
        return taking(self, batch)

    monkeypatch.setattr(SwitchedStep, "__call__", take)
    return counts


def test_they_are_written_in_the_resolved_recipe_which_trains_to_the_same_bits(folder, plugins, recipe, steps):
    first = dlcli.train(recipe(train={**TRAIN, **ALL}), plugins=plugins).run
    text = (first / "recipe.toml").read_text()
    for line in ("accumulate = 2", 'precision = "bfloat16"', 'sampling = "class_balanced"', "deterministic = true"):
        assert line in text
    assert "activation_checkpointing = true" in text
    assert "compile = false" in text
    # 1257 training rows are 20 batches of 64, 10 steps of 2.
    assert steps == [2] * 10 * 2
    second = dlcli.train(first / "recipe.toml", plugins=plugins).run
    weights = [load_file(run / "model/model.safetensors") for run in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not any(name.startswith("_orig_mod") for name in weights[0])


def test_build_says_them_and_tries_them(folder, plugins, recipe, steps):
    from rich.console import Console

    found = dlcli.build(recipe(train={**TRAIN, **ALL}), plugins=plugins)
    assert found.switches == ALL
    assert found.steps_per_epoch == 10
    assert steps == [2]
    assert json.loads(json.dumps(found.as_json()))["switches"] == ALL
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(preflight_view(found))
    text = console.export_text()
    assert "10 steps of 2 × 64 rows an epoch" in text
    assert "accumulate 2, precision bfloat16, activation checkpointing, sampling class_balanced, deterministic" in text
    plain = dlcli.build(recipe(), plugins=plugins)
    assert plain.switches == {}
    assert len({layer.name for layer in found.layers}) == len(found.layers) == len(plain.layers)
    assert found.loss_value != plain.loss_value


@pytest.mark.parametrize("population", [{"seeds": 2}, {"kfold": 2}])
def test_a_population_trains_one_by_one_and_says_why_once(folder, plugins, recipe, steps, population):
    summary = dlcli.train(recipe(train={**TRAIN, "accumulate": 2, **population}), plugins=plugins)
    told = [note for note in summary.notes if "a stack takes a step on each batch (train.accumulate = 2)" in note]
    assert len(told) == 1
    assert "train one after the other" in told[0]
    assert set(steps) - {1} == {2}  # an epoch of a fold has an odd number of batches


def test_a_population_of_balanced_rows_is_a_stack(folder, plugins, recipe, monkeypatch):
    """The same rows in both engines."""
    train = {**TRAIN, "sampling": "class_balanced", "deterministic": True, "seeds": 2, "epochs": 1}
    model = {"architecture": "mlp", "hidden": [8], "norm": "none"}
    runs = [
        dlcli.train(recipe(train={**train, "engine": engine}, model=model), plugins=plugins).run
        for engine in ("loop", "vectorized")
    ]
    first, second = (load_file(run / "members/seed-1/model/model.safetensors") for run in runs)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-5)


def test_the_range_test_takes_steps_with_them(folder, plugins, recipe, steps):
    found = find_lr(recipe(train={**TRAIN, "accumulate": 3}), plugins=plugins)
    assert len(steps) >= len(found.points)
    # 20 batches an epoch are six steps of three and one of two, over and over.
    assert steps[:8] == [3, 3, 3, 3, 3, 3, 2, 3]


def test_a_search_takes_steps_with_them_and_tunes_them(folder, plugins, tunable, steps):
    space = {"train.accumulate": {"choice": [1, 3]}, "train.optimizer.lr": {"log_uniform": [1e-3, 1e-2]}}
    given = tunable(space, train={"epochs": 1}, method="grid", trials=4)
    given["tune"]["space"] = {"train.accumulate": {"choice": [1, 3]}}
    given["tune"]["trials"] = 2
    dlcli.tune(given, plugins=plugins)
    assert 3 in steps


@pytest.mark.parametrize("key", ["compile", "activation_checkpointing", "deterministic"])
def test_what_changes_no_result_is_not_tuned(folder, plugins, tunable, key):
    space = {f"train.{key}": {"choice": [True, False]}}
    with pytest.raises(RecipeError, match=f"train.{key} cannot be tuned: it changes no result"):
        dlcli.tune(tunable(space), plugins=plugins)


def test_an_ensemble_takes_steps_with_them(folder, plugins, recipe, steps):
    given = recipe(train={**TRAIN, "epochs": 1, "accumulate": 2}, ensemble={"strategy": "voting", "members": 2})
    dlcli.ensemble(given, plugins=plugins)
    assert set(steps) == {2}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"data": {"memory": "0"}},
            "train.sampling: class_balanced draws rows anywhere .* but x is streamed .* raise data.memory .*weights",
        ),
        (
            {"data": {"task": "regression"}},
            "train.sampling: class_balanced needs one class a row, .* regression task",
        ),
    ],
)
def test_balanced_rows_need_a_class_each_and_memory(folder, plugins, recipe, tables, message):
    base = recipe()
    given = {**base, "data": {**base["data"], **tables["data"]}, "train": {**TRAIN, "sampling": "class_balanced"}}
    with pytest.raises(RecipeError, match=message):
        dlcli.train(given, plugins=plugins)
    assert not (folder / "runs").exists()


def test_folds_draw_from_their_own_rows_with_classes_balanced(folder, plugins, recipe):
    given = recipe(train={**TRAIN, "sampling": "class_balanced", "kfold": 3})
    prepared = prepare(load_recipe(given, plugins.registry), plugins.registry)
    from dlcli.data.batches import InMemoryBatches

    batches = InMemoryBatches(prepared.dataset, torch.device("cpu"))
    labels = prepared.dataset.tensors[prepared.dataset.target.name]
    for member in prepared.plan.members:
        own = [rows for rows, _ in (batches._epoch_rows(member, epoch) for epoch in range(1, 6))]
        drawn = torch.cat(own).flatten()
        assert bool(torch.isin(drawn, member.training_rows).all())
        shares = torch.bincount(labels[drawn]).double() / len(drawn)
        assert (shares - 0.1).abs().max() < 0.02


def test_an_operation_that_is_not_deterministic_is_told(folder, plugins, recipe, monkeypatch):
    from dlcli.builtin.losses.cross_entropy import CrossEntropy

    def mean(self, output, target):
        return torch.nn.functional.cross_entropy(output, target) + torch.zeros(1).put_(torch.tensor([0]), torch.ones(1))

    monkeypatch.setattr(CrossEntropy, "mean", mean)
    given = recipe(train={**TRAIN, "deterministic": True})
    for command in (dlcli.train, dlcli.build, find_lr):
        with pytest.raises(TrainingError, match="train.deterministic = true, but .* operation put_"):
            command(given, plugins=plugins)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_missing_compiler_leaves_no_run(folder, plugins, recipe, monkeypatch):
    import torch._inductor.cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr(torch._inductor.cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(UsageError, match=r"train.compile = true needs a C\+\+ compiler"):
        dlcli.train(recipe(train={**TRAIN, "compile": True}), plugins=plugins)
    assert not (folder / "runs").exists()


def test_a_network_without_blocks_is_told_before_there_is_a_run(folder, plugins, recipe):
    given = recipe(model={"architecture": "linear"}, train={**TRAIN, "activation_checkpointing": True})
    with pytest.raises(RecipeError, match="train.activation_checkpointing: true, but linear has no blocks"):
        dlcli.train(given, plugins=plugins)
    assert not (folder / "runs").exists()
