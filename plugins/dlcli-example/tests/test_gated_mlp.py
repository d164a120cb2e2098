import pytest
import torch
from dlcli_example.gated_mlp import GatedMLP

from dlcli.testing import isolated_plugins, sample_inputs, standard_io


@pytest.fixture
def make():
    registry = isolated_plugins("dlcli_example").registry

    def build(io="features_multiclass", **parameters):
        return registry.create("architecture", "gated_mlp", **parameters).build(standard_io()[io])

    return build


def test_a_layer_is_its_formula(make):
    network = make(hidden=[4], activation="tanh")
    (x,), _ = sample_inputs(standard_io()["features_multiclass"], 6, torch.Generator().manual_seed(0))
    layer = network.layers[0]
    value = torch.tanh(x @ layer.affine.weight.T + layer.affine.bias)
    gate = torch.sigmoid(x @ layer.gate.weight.T + layer.gate.bias)
    torch.testing.assert_close(network(x), network.head(value * gate))


def test_a_closed_gate_lets_nothing_pass(make):
    network = make(hidden=[4])
    with torch.no_grad():
        network.layers[0].gate.bias.fill_(-1e4)
    torch.testing.assert_close(network(torch.ones(2, 5)), network.head.bias.expand(2, 3))


def test_images_are_flattened_and_widths_are_as_given(make):
    network = make("image_multiclass", hidden=[7, 9])
    shapes = [tuple(layer.affine.weight.shape) for layer in network.layers]
    assert shapes == [(7, 64), (9, 7)]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_the_default_activation_is_the_packages_own(make):
    registry = isolated_plugins("dlcli_example").registry
    component = registry.create("architecture", "gated_mlp")
    assert isinstance(component, GatedMLP)
    assert registry.dump(component)["activation"] == {"name": "dlcli-example:snake", "alpha": 1.0}


@pytest.mark.parametrize(
    ("io", "match"),
    [
        ("tokens_multiclass", "but the data has tokens; choose another architecture"),
        ("two_features_multiclass", "but the data has features, features;"),
        ("features_with_condition_multiclass", "but the data has features, categorical;"),
        ("sequence_multiclass_per_position", "but the data has sequence and an answer for every position;"),
    ],
)
def test_what_it_cannot_do_is_named(make, io, match):
    with pytest.raises(ValueError, match=match):
        make(io)
