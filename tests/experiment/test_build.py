"""What `dlcli build` finds out, and what it says of what cannot be trained."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import dlcli
from dlcli.contracts.architecture import Architecture
from dlcli.errors import RecipeError, TrainingError
from dlcli.experiment import build as module
from dlcli.experiment.find_lr import find_lr
from dlcli.experiment.members import check_member
from dlcli.experiment.prepare import prepare
from dlcli.recipe.load import load_recipe
from dlcli.training.step import Step
from dlcli.training.step_costs import FEW, MORE


def test_totals_are_those_of_the_layers(folder, plugins, recipe):
    found = dlcli.build(recipe(model={"architecture": "cnn", "channels": [4, 8], "norm": "batch"}), plugins=plugins)
    assert sum(layer.multiply_adds for layer in found.layers) == found.multiply_adds == found.forward_flops // 2
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    first = found.layers[0]
    assert (first.output_shape, first.multiply_adds) == ((4, 8, 8), 64 * 4 * 9)
    # Forward once, backward twice; the image needs no gradient.
    assert found.training_flops == 3 * found.forward_flops - 2 * first.multiply_adds
    # The loss keeps 10 log-probabilities a row beside, and the sum of weights.
    kept = sum(layer.activation_bytes for layer in found.layers)
    assert found.memory.activations == kept + found.batch_size * 10 * 4 + 4
    assert found.memory.rows == found.batch_size


def test_json_has_all_of_it(folder, plugins, recipe):
    told = json.loads(json.dumps(dlcli.build(recipe(), plugins=plugins).as_json()))
    assert told["layers"][0]["multiply_adds"] == 64 * 16
    assert told["multiply_adds"] == 64 * 16 + 16 * 10
    assert set(told["memory"]) == {
        *("rows", "parameters", "gradients", "optimizer_state", "copies"),
        *("data", "activations", "working", "total"),
    }
    assert told["fits"] is True
    assert told["largest_batch"] >= told["batch_size"]
    assert told["available_bytes"] > told["memory"]["total"]


def test_a_batch_that_does_not_fit_is_told_and_not_tried(folder, plugins, recipe, monkeypatch):
    given = recipe(train={"batch_size": 512})
    whole = dlcli.build(given, plugins=plugins)
    monkeypatch.setattr(module, "available_bytes", lambda device: whole.memory.total // 2)
    tried, step = [], Step.__call__
    monkeypatch.setattr(Step, "__call__", lambda self, batch: (tried.append(len(batch.target)), step(self, batch))[1])
    found = dlcli.build(given, plugins=plugins)
    assert (found.fits, found.largest_batch) == (False, 128)
    assert tried == [FEW, FEW, MORE, 64]
    (note,) = [note for note in found.notes if "training takes about" in note]
    assert re.search(
        r"training takes about .* kB, but .* kB of memory are left on cpu: set train.batch_size = 128; "
        "the loss is that of the batch's first 64 rows",
        note,
    )
    monkeypatch.setattr(module, "available_bytes", lambda device: 1000)
    assert any("choose a smaller network" in note for note in dlcli.build(given, plugins=plugins).notes)


def test_where_memory_is_not_known_nothing_is_said_of_it(folder, plugins, recipe, monkeypatch):
    monkeypatch.setattr(module, "available_bytes", lambda device: None)
    found = dlcli.build(recipe(), plugins=plugins)
    assert (found.available_bytes, found.fits, found.largest_batch) == (None, None, None)


@pytest.mark.parametrize("command", [dlcli.build, find_lr])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("9 GB"), MemoryError("9 GB"), RuntimeError("DefaultCPUAllocator: 9 GB")]
)
def test_memory_that_runs_out_is_told_with_what_to_do(folder, plugins, recipe, monkeypatch, command, error):
    def full(*_):
        raise error

    monkeypatch.setattr("dlcli.training.step.Step.__call__", full)
    with pytest.raises(
        TrainingError, match=r"memory of cpu ran out .*9 GB; try a smaller train.batch_size \(now 64\) or a"
    ):
        command(recipe(), plugins=plugins)


def test_a_network_larger_than_memory_is_told_so(folder, plugins, recipe):
    """Four hundred terabytes."""
    with pytest.raises(
        TrainingError, match="memory of cpu ran out where the network was built: .* or a smaller network"
    ):
        dlcli.build(recipe(model={"architecture": "mlp", "hidden": [100_000, 1_000_000_000]}), plugins=plugins)


def test_penalties_that_belong_to_the_architecture_are_listed(folder, plugins, recipe):
    given = recipe(model={"architecture": "svm"}, regularizers=[{"name": "l1"}])
    found = dlcli.build(given, plugins=plugins).regularized
    assert list(found) == ["l1", "svm: l2"]
    assert found["svm: l2"].methods == ("penalty",)
    assert found["svm: l2"].parameters == found["l1"].parameters
    assert found["svm: l2"].numbers == 640


class Foreign(Architecture):
    """Somebody's network, which does not check its sizes.

    Args:
        stride: Of its second convolution.
        kernel: Likewise.
    """

    name = "foreign"

    stride: int = 1
    kernel: int = 3

    def build(self, io):
        """Build it."""
        second = nn.Conv2d(4, 4, self.kernel, stride=self.stride)
        first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        return Flat(nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)))


class Flat(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, image, **_):
        return self.layers(image)


@pytest.fixture
def foreign(folder, plugins, recipe):
    member = prepare(load_recipe(recipe(), plugins.registry), plugins.registry).member
    return lambda **parameters: replace(member, architecture=Foreign(**parameters))


def test_a_window_that_fits_nowhere_is_an_error_in_any_architecture(foreign):
    with pytest.raises(
        RecipeError, match=r"model.architecture: foreign: layers.1: N' = .*\(4 − 5 \+ 2·0\) / 1 \+ 1 = 0 for"
    ) as told:
        check_member(foreign(kernel=5))
    assert "the window is larger than what is left there; padding 1, 2, 3 or 4 would fit" in str(told.value)


def test_pixels_that_torch_drops_are_a_note(folder, plugins, recipe):
    model = {"architecture": "resnet", "depth": None, "blocks": [1, 1], "width": 4}
    notes = dlcli.build(recipe(model=model), plugins=plugins).notes
    (note,) = [note for note in notes if "N' =" in note]
    assert "resnet: stages.1.0.sum.branch.0.affine: N' = (N − F + 2P) / S + 1 = (8 − 3 + 2·1) / 2 + 1 = 4.5" in note
    assert note.endswith("stride 1 would fit; likewise stages.1.0.sum.shortcut.affine")


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_recipes_of_ours_are_built_without_a_note(plugins, name):
    assert dlcli.build(Path(__file__).parents[2] / f"recipes/digits/{name}.toml", plugins=plugins).notes == ()


@pytest.mark.parametrize("model", [{"architecture": "mlp"}, {"architecture": "cnn"}, {"architecture": "svm"}], ids=str)
def test_defaults_are_built_without_a_note(folder, plugins, recipe, model):
    assert dlcli.build(recipe(model=model), plugins=plugins).notes == ()
