import tomllib

import pytest
import torch

import dlcli
from dlcli.errors import RecipeError
from dlcli.experiment.prepare import prepare
from dlcli.recipe.load import load_recipe
from dlcli.training.network import build_network


def network_of(recipe, plugins, init, **model):
    table = recipe(model={**recipe()["model"], **({} if init is None else {"init": init}), **model})
    return build_network(prepare(load_recipe(table, plugins.registry), plugins.registry).member, torch.device("cpu"))


def test_a_recipe_fills_its_weights_with_what_it_names(folder, plugins, recipe):
    network = network_of(recipe, plugins, "orthogonal", activation="tanh")
    weights = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    assert len(weights) > 1
    for weight in weights:
        short = weight if weight.shape[0] <= weight.shape[1] else weight.T
        torch.testing.assert_close(short @ short.T, (5 / 3) ** 2 * torch.eye(len(short)), atol=1e-4, rtol=1e-4)
    assert all(not parameter.any() for name, parameter in network.named_parameters() if name.endswith("bias"))


def test_without_it_torchs_own_values_stay(folder, plugins, recipe):
    plain, filled = network_of(recipe, plugins, None), network_of(recipe, plugins, "kaiming_uniform")
    bound = 1 / plain.head.in_features**0.5
    assert 0.9 * bound < plain.head.weight.abs().max() <= bound
    assert plain.head.bias.any()
    assert not torch.equal(plain.head.weight, filled.head.weight)


def test_build_says_which_and_a_run_keeps_it(folder, plugins, recipe):
    table = recipe(model={**recipe()["model"], "activation": {"name": "leaky_relu", "slope": 0.5}, "init": "auto"})
    preflight = dlcli.build(table, plugins=plugins)
    assert preflight.init == {"name": "kaiming_normal", "gain": pytest.approx(1.6**0.5), "mode": "fan_in"}
    summary = dlcli.train(table, plugins=plugins)
    assert tomllib.loads((summary.run / "recipe.toml").read_text())["model"]["init"] == {"name": "dlcli:auto"}
    assert dlcli.build(recipe(), plugins=plugins).init is None


def test_a_normalization_without_anything_to_normalize_is_told_before_training(folder, plugins, recipe):
    table = recipe(model={**recipe()["model"], "norm": "instance"})
    with pytest.raises(
        RecipeError, match=r"model.architecture: instance: a row has one value a feature, shape \(16,\)"
    ):
        dlcli.build(table, plugins=plugins)
    table = recipe(model={**recipe()["model"], "norm": {"name": "group", "groups": 5}})
    with pytest.raises(RecipeError, match="5 groups do not divide a layer of 16 features .* one of 1, 2, 4, 8, or"):
        dlcli.build(table, plugins=plugins)
