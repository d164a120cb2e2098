"""Captured functions give what the function gives, from fewer operations."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from dlcli.training import capture as room
from dlcli.training.capture import capture

MEMBERS, BATCH = 3, 16


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(room, "_kept", {})


def operations(captured):
    module = captured.run.__self__
    return [node.target for node in module.graph.nodes if node.op == "call_function"]


def named(captured):
    return [str(target) for target in operations(captured)]


def gradients_of(network, x, y, loss):
    """Return a function of stacked parameters to losses and gradients, and its arguments."""
    generator = torch.Generator().manual_seed(0)
    names = [name for name, _ in network.named_parameters()]
    stacked = [
        torch.randn((MEMBERS, *p.shape), generator=generator, dtype=torch.float64) / 4 for p in network.parameters()
    ]

    def one(*tensors):
        *parameters, inputs, target = tensors
        return loss(functional_call(network, dict(zip(names, parameters, strict=True)), (inputs,)), target)

    def function(tensors, notes):
        parameters = [tensor.detach().requires_grad_() for tensor in tensors[:-2]]
        losses = torch.vmap(one)(*parameters, *tensors[-2:])
        notes["gradients"] = names
        return [losses.detach(), *torch.autograd.grad(losses.sum(), parameters)]

    return function, [*stacked, x, y]


def check(function, tensors, tolerance=1e-12):
    captured = capture("test", function, tensors)
    expected = function(tensors, {})
    with torch.no_grad():
        found = captured.run(*tensors)
        again = captured.run(*tensors)
    for one, other, wanted in zip(found, again, expected, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, wanted, rtol=0, atol=tolerance)
        assert one.shape == wanted.shape
    return captured


def double(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def labels(count, *shape):
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(2))


def test_an_mlp_costs_one_product_a_layer_and_none_of_vmaps_views():
    network = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4))
    function, tensors = gradients_of(network, double(MEMBERS, BATCH, 5), labels(4, MEMBERS, BATCH), F.cross_entropy)
    captured = check(function, tensors)
    names = named(captured)
    assert captured.names["gradients"] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert names.count("aten.baddbmm.default") == 2  # forward, bias included
    assert names.count("aten.bmm.default") == 3  # two weights, one input
    assert names.count("aten.relu_.default") == 1
    for gone in ("aten.detach.default", "aten.expand.default", "aten._unsafe_view.default", "aten.mul.Scalar"):
        assert names.count(gone) <= (2 if gone == "aten.expand.default" else 0)
    gradients = captured.run(*tensors)[1:]
    assert all(gradient.is_contiguous() for gradient in gradients)


def test_a_small_softmax_runs_over_the_middle_and_a_wide_one_is_left_alone():
    for classes, dim in ((4, 1), (40, 2)):
        network = nn.Linear(5, classes)
        function, tensors = gradients_of(
            network, double(MEMBERS, BATCH, 5), labels(classes, MEMBERS, BATCH), F.cross_entropy
        )
        captured = check(function, tensors)
        softmax = [n for n in captured.run.__self__.graph.nodes if str(n.target) == "aten._log_softmax.default"]
        assert [node.args[1] for node in softmax] == [dim]
        room._kept.clear()


@pytest.mark.parametrize("side", [8, 9])
def test_pooling_reads_channels_last_and_keeps_ties(side):
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(4))
    network(torch.zeros(1, 1, side, side))
    network = network.double()
    x = double(MEMBERS, BATCH, 1, side, side).round()  # ties
    function, tensors = gradients_of(network, x, labels(4, MEMBERS, BATCH), F.cross_entropy)
    captured = check(function, tensors)
    kept = [n for n in captured.run.__self__.graph.nodes if n.kwargs.get("memory_format") is torch.channels_last]
    assert len(kept) == 1


def test_what_is_used_twice_is_not_overwritten():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 5)

        def forward(self, x):
            z = self.layer(x)
            return torch.relu(z) + torch.sigmoid(z) + torch.relu(x)

    function, tensors = gradients_of(Twice(), double(MEMBERS, BATCH, 5), double(MEMBERS, BATCH, 5), F.mse_loss)
    before = [tensor.clone() for tensor in tensors]
    check(function, tensors)
    assert all(torch.equal(tensor, was) for tensor, was in zip(tensors, before, strict=True))


def test_other_layers_keep_their_values():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.norm = nn.Embedding(6, 8), nn.LayerNorm(8)
            self.convolution, self.head = nn.Conv1d(4, 5, 3), nn.Linear(5 * 6, 3)

        def forward(self, x):
            z = F.gelu(self.norm(self.embedding(x)))
            return self.head(self.convolution(z).transpose(1, 2).flatten(1))

    function, tensors = gradients_of(Mixed(), labels(6, MEMBERS, BATCH, 4), labels(3, MEMBERS, BATCH), F.cross_entropy)
    check(function, tensors)


def test_a_capture_is_made_once_for_a_key_and_shapes(monkeypatch):
    calls = []

    def function(tensors, notes):
        calls.append(1)
        return [tensors[0] + 1]

    first = capture("key", function, [torch.zeros(2)])
    assert capture("key", function, [torch.ones(2)]) is first
    assert len(calls) == 1
    assert capture("key", function, [torch.zeros(3)]) is not first
    assert capture("other", function, [torch.zeros(2)]) is not first
    assert torch.equal(first.run(torch.ones(2))[0], torch.full((2,), 2.0))
    monkeypatch.setattr(room, "CAPTURES", 2)
    capture("last", function, [torch.zeros(2)])
    assert len(room._kept) <= 3
