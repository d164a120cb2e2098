"""What standing tensors alone decide is computed once; the function stays."""

import torch
from torch.func import functional_call

from dlcli.training.capture import capture_anew
from dlcli.training.standing import Standing


def targets(captured):
    return [str(node.target) for node in captured.run.__self__.graph.nodes if node.op == "call_function"]


def test_operations_on_standing_tensors_leave_the_graph():
    x, scale, unused = torch.randn(4, 3), torch.randn(3), torch.randn(2)
    standing = Standing(1)

    def function(flat, names):
        rows, own, _ = flat
        return [rows * own.exp().neg() + own]

    captured = capture_anew(function, [x, scale, unused], [standing])
    assert targets(captured) == ["aten.mul.Tensor", "aten.add_.Tensor"]
    assert standing.used == [True, False]
    for other in (scale, scale * 2):
        (result,) = captured.run(x, *standing.compute([other, unused]))
        torch.testing.assert_close(result, x * torch.exp(other).neg() + other)


def test_what_is_overwritten_or_random_is_computed_at_every_run():
    x, weight = torch.randn(3), torch.randn(3)
    standing = Standing(1)

    def function(flat, names):
        rows, own = flat
        return [own.mul(2).relu().add(rows), torch.bernoulli(own.sigmoid())]

    captured = capture_anew(function, [x, weight], [standing])
    prepared = standing.compute([weight])
    first, second = captured.run(x, *prepared), captured.run(x, *prepared)
    torch.testing.assert_close(first[0], (weight * 2).relu() + x)
    torch.testing.assert_close(second[0], first[0])
    assert "aten.bernoulli.default" in targets(captured)


def test_a_whole_network_stays_what_it_is():
    network = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.Flatten()).eval()
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    x = torch.randn(5, 2, 8)
    standing = Standing(1)

    def function(flat, names):
        return [functional_call(network, dict(zip(state, flat[1:], strict=True)), (flat[0],))]

    captured = capture_anew(function, [x, *state.values()], [standing])
    (result,) = captured.run(x, *standing.compute(list(state.values())))
    torch.testing.assert_close(result, network(x).detach())
