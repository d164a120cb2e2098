from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import by_name
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.randomness import stream
from dlcli.contracts.task import Task
from dlcli.layers.input_layers import InputLayers
from dlcli.plugins import load_plugins
from dlcli.training.initial_values import fill_weights, suited_initializer

REGISTRY = load_plugins(third_parties=False).registry
ONES = REGISTRY.create("initializer", "normal", std=1e-9)


class Everything(nn.Module):
    """A module of each sort whose weights have two dimensions or more, and of some whose have not."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 4)
        self.convolution = nn.Conv2d(3, 4, 3)
        self.recurrent = nn.LSTM(4, 3)
        self.attention = nn.MultiheadAttention(4, 2)
        self.table = nn.Embedding(9, 4)
        self.bag = nn.EmbeddingBag(9, 4)
        self.batch = nn.BatchNorm1d(4)
        self.layer = nn.LayerNorm((4, 5))
        self.rms = nn.RMSNorm((4, 5))
        self.prelu = nn.PReLU(4)
        self.register_buffer("positions", torch.ones(3, 3))
        nn.init.constant_(self.batch.bias, 0.5)


FILLED = ("linear.", "convolution.", "recurrent.", "attention.")


def test_weights_are_filled_their_biases_zero_and_all_else_stays():
    network = Everything()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fill_weights(network, ONES, torch.Generator().manual_seed(0))
    for name, tensor in network.state_dict().items():
        if not name.startswith(FILLED):
            assert torch.equal(tensor, before[name]), name
        elif "bias" in name:
            assert not tensor.any(), name
        else:
            assert 0 < tensor.abs().max() < 1e-7, name


def test_filling_follows_named_parameters_and_draws_from_its_stream_alone():
    network = Everything()
    state = torch.get_rng_state()
    fill_weights(network, REGISTRY.create("initializer", "xavier_normal"), stream(3, "initializer"))
    assert torch.equal(torch.get_rng_state(), state)
    generator = stream(3, "initializer")
    for name in ("linear.weight", "convolution.weight", "recurrent.weight_ih_l0", "recurrent.weight_hh_l0"):
        own = network.get_parameter(name)
        torch.testing.assert_close(own, nn.init.xavier_normal_(torch.empty_like(own), generator=generator))


def test_input_layers_keep_their_own_numbers():
    fields = (
        Field("x", "input", "features", (4,), "float32"),
        Field("c", "input", "categorical", (), "int64", classes=("a", "b")),
    )
    layers = tuple(REGISTRY.create("input_layer", name) for name in ("periodic", "embed"))
    network = InputLayers(inputs=layers, network=REGISTRY.create("architecture", "mlp")).build(
        InputOutput(fields, Task.BINARY, 1, ("no", "yes"))
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fill_weights(network, ONES, torch.Generator().manual_seed(0))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith("network.")}


class Wrapped(Architecture):
    name: ClassVar[str] = "wrapped"
    inner: Architecture = by_name("dlcli:mlp")

    def build(self, io):
        return self.inner.build(io)


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: InputLayers(network=a), lambda a: Wrapped(inner=a)])
def test_the_activation_is_found_behind_what_wraps_the_architecture(wrap):
    architecture = REGISTRY.create("architecture", "mlp", activation="tanh")
    suited = suited_initializer(REGISTRY.create("initializer", "auto"), wrap(architecture))
    assert (suited.name, suited.gain) == ("xavier_uniform", 5 / 3)


def test_without_an_activation_it_is_itself():
    auto = REGISTRY.create("initializer", "auto")
    assert suited_initializer(auto, REGISTRY.create("architecture", "linear")) is auto
