import torch
from torch import nn

from dlcli.training.layer_costs import LayerCosts
from dlcli.training.live_memory import LiveMemory


def test_storages_count_once_and_as_long_as_they_live():
    known = torch.zeros(1000)
    with LiveMemory([known]) as memory:
        view = known[:10]
        first = known + 1
        other = first.view(10, 100)
        second = torch.zeros(10)
        del first
        third = view + second
        del other
        fourth = third + 1
    assert memory.moments == [0, 0, 4000, 4000, 4040, 4080, 120]
    assert fourth.sum() == 10


def test_what_is_there_at_first_may_go():
    gradient = torch.zeros(100)
    memory = LiveMemory([], [gradient])
    with memory:
        made = torch.zeros(1)
        del gradient
        made = made + 1
    assert memory.moments == [400, 404, 8]


def test_sparse_gradients_are_looked_at_all_the_same():
    network = nn.Embedding(50, 4, sparse=True)
    rows = torch.tensor([3, 7])
    known = [network.weight, rows]
    with LayerCosts(network, known) as costs, LiveMemory(known) as memory:
        network(rows).sum().backward()
    assert network.weight.grad.is_sparse
    assert costs.layers[0].output_shape == (4,)
    # Two rows of numbers, at the least.
    assert max(memory.moments) >= 2 * 4 * 4
