"""Costs of layers: against torch's own counter, published numbers, and what is derived by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlcli import Field, InputOutput, Task
from dlcli.training.layer_costs import LayerCosts

IMAGE = Field("x", "input", "image", (3, 16, 12), "float32")
SEQUENCE = Field("x", "input", "sequence", (9, 5), "float32")


def watched(network, *inputs):
    with LayerCosts(network, [*network.parameters(), *network.buffers(), *inputs]) as costs:
        network(*inputs).square().sum().backward()
    return costs


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("mlp", {"hidden": [20, 30], "norm": "batch"}, IMAGE),
        ("cnn", {"channels": [4, 6], "dilation": [1, 2], "norm": "batch"}, IMAGE),
        ("resnet", {"depth": None, "blocks": [1, 2], "width": 4, "stem": "imagenet"}, IMAGE),
        ("resnet", {"depth": None, "blocks": [1, 1], "width": 4, "bottleneck": True}, IMAGE),
        ("gru", {"hidden": 6, "layers": 2}, SEQUENCE),
    ],
)
def test_layers_add_up_to_what_torch_counts(registry, name, parameters, field):
    made = registry.create("architecture", name, **parameters).build(InputOutput((field,), Task.MULTICLASS, 4))
    x = torch.randn(3, *field.shape)
    costs = watched(made, x)
    with FlopCounterMode(display=False) as counter:
        output = made(x)
        forward = counter.get_total_flops()
        output.square().sum().backward()
    assert sum(layer.flops for layer in costs.layers) == costs.forward_flops == forward > 0
    assert costs.flops == counter.get_total_flops()
    assert sum(layer.parameters for layer in costs.layers) == sum(p.numel() for p in made.parameters())
    outside = output.numel() * 4  # the square keeps the network's output
    assert sum(layer.kept_bytes for layer in costs.layers) == costs.kept_bytes - outside > 0


def test_a_resnet_18_has_the_published_multiply_adds(registry):
    io = InputOutput((Field("x", "input", "image", (3, 224, 224), "float32"),), Task.MULTICLASS, 1000)
    network = registry.create("architecture", "resnet").build(io).eval()
    with torch.no_grad(), LayerCosts(network, []) as costs:
        network(torch.zeros(1, 3, 224, 224))
    assert costs.forward_flops / 2e9 == pytest.approx(1.814, abs=0.005)
    assert costs.kept_bytes == 0
    stem = next(layer for layer in costs.layers if layer.name == "stem.affine")
    assert (stem.kind, stem.output_shape, stem.parameters) == ("Conv2d", (64, 112, 112), 9408)
    assert stem.flops == 2 * 112 * 112 * 9408


@pytest.mark.parametrize("causal", [False, True])
def test_a_transformer_has_the_multiply_adds_of_its_formula(registry, causal):
    made = registry.create("architecture", "transformer", width=8, heads=2, layers=3, causal=causal)
    rows, steps, width, inner = 2, 9, 8, 5
    costs = watched(made.build(InputOutput((SEQUENCE,), Task.MULTICLASS, 4)), torch.randn(rows, steps, inner))
    # Each block: maps to queries, keys and values, and from the heads; QKᵀ and its product with V; four times wider.
    block = steps * (3 + 1 + 2 * 4) * width**2 + 2 * steps**2 * width
    assert costs.forward_flops == 2 * rows * (steps * inner * width + 3 * block + 4 * width)
    attention = next(layer for layer in costs.layers if layer.name == "blocks.0.attention")
    assert attention.flops == 2 * rows * 2 * steps**2 * width


@pytest.mark.parametrize("packed", [False, True])
def test_an_lstm_counts_four_gates_at_every_valid_step(registry, packed):
    network = registry.create("architecture", "lstm", hidden=6).build(InputOutput((SEQUENCE,), Task.MULTICLASS, 4))
    lengths = torch.tensor([9, 4, 2]) if packed else None
    x = torch.randn(3, 9, 5)
    with LayerCosts(network, [x]) as costs:
        network(x, lengths=lengths).sum().backward()
    steps = 15 if packed else 27
    cells = costs.layers[0]
    assert (cells.kind, cells.flops) == ("LSTM", 2 * steps * 4 * 6 * (5 + 6))
    assert cells.output_shape == (9, 6)
    # Backward twice as many, but for what would be the gradient of the inputs; of packed cells torch counts them all
    # but those of the state before the first step, which needs no gradient.
    backward = 2 * cells.flops - 2 * steps * 4 * 6 * 5
    head = 2 * 3 * 6 * 4
    unneeded = 2 * 3 * 4 * 6 * 6 if packed else 0
    assert costs.flops - costs.forward_flops == backward + 2 * head - unneeded


def test_what_is_kept_belongs_to_the_first_that_keeps_it():
    network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2))
    costs = watched(network, torch.randn(10, 8))
    # The first affine map keeps the batch, which is there anyway; the others what activations keep already.
    assert [layer.kept_bytes for layer in costs.layers] == [0, 160, 0, 160, 0]
    # The square outside keeps the output.
    assert costs.kept_bytes == 160 + 160 + 80


class Twice(nn.Module):
    """Calls one layer twice, uses the weight of another that is never called, and has a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.uncalled = nn.Linear(4, 4, bias=False)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.layer(self.layer(x)) @ self.uncalled.weight * self.scale


def test_layers_that_are_called_twice_or_never_are_counted_all_the_same():
    costs = watched(Twice(), torch.randn(3, 4))
    layer, whole = costs.layers
    assert (layer.name, layer.flops, layer.parameters) == ("layer", 2 * 2 * 3 * 16, 20)
    assert (whole.name, whole.kind, whole.flops, whole.parameters) == ("network", "Twice", 2 * 3 * 16, 16 + 4)


def test_nothing_is_left_in_the_network():
    network = nn.Sequential(nn.Linear(2, 2))
    watched(network, torch.randn(3, 2))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
