"""Blocks that keep their inputs alone: the same bits, and less memory."""

import pytest
import torch
from engines import CPU, Silent, same_bits, train
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.switches import Switches
from dlcli.contracts.task import Task
from dlcli.errors import Interrupted, UsageError
from dlcli.layers.dropout import replace_dropout
from dlcli.training.blocks import find_blocks, keeping_inputs
from dlcli.training.network import active_dropouts, build_network, seed_epoch
from dlcli.training.switched_step import make_step

CLASSES = tuple("0123456789")


def io_of(kind, *shape):
    return InputOutput((Field("x", "input", kind, shape, "float32"),), Task.MULTICLASS, 10, CLASSES)


ARCHITECTURES = {
    "mlp": (
        {"hidden": [16, 16, 16], "norm": "batch", "dropout": 0.3, "residual": True, "stochastic_depth": 0.3},
        "features",
        12,
    ),
    "cnn": ({"norm": "batch", "dropout": 0.2}, "image", 1, 8, 8),
    "resnet": ({"blocks": [2, 1], "width": 4, "stochastic_depth": 0.4}, "image", 3, 8, 8),
    "transformer": ({"width": 8, "heads": 2, "layers": 2, "dropout": 0.2}, "sequence", 5, 4),
    "lstm": ({"hidden": 6, "layers": 2, "dropout": 0.2}, "sequence", 5, 4),
}


def three_steps(own, batch, *, keep):
    network = build_network(own, CPU)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    step = make_step(own, network, optimizer, CPU)
    assert type(step).__name__ == ("SwitchedStep" if keep else "Step")
    seed_epoch(active_dropouts(network), own, 1, CPU)
    step.start_epoch(1)
    losses = [step(batch) for _ in range(3)]
    return losses, {**network.state_dict(), **{f"grad {n}": p.grad for n, p in network.named_parameters()}}


def batch_of(own, rows=6):
    generator = torch.Generator().manual_seed(1)
    (field,) = own.io.inputs
    return Batch((torch.randn(rows, *field.shape, generator=generator),), torch.arange(rows) % 10)


@pytest.mark.parametrize(
    ("name", "regularizers"),
    [*((name, ()) for name in ARCHITECTURES), ("mlp", ("weight_noise", "activity_l1")), ("cnn", ("weight_noise",))],
)
def test_it_is_the_same_to_the_bit(name, regularizers, member, registry):
    """Masks of dropout, running statistics, noise on weights and penalties on inner outputs included."""
    parameters, kind, *shape = ARCHITECTURES[name]
    changes = {
        "architecture": registry.create("architecture", name, **parameters),
        "io": io_of(kind, *shape),
        "regularizers": tuple(registry.create("regularizer", each) for each in regularizers),
    }
    plain, keeping = (
        three_steps(
            own := member(**changes, switches=Switches(activation_checkpointing=keep)), batch_of(own), keep=keep
        )
        for keep in (False, True)
    )
    assert plain[0] == keeping[0]
    assert plain[1].keys() == keeping[1].keys()
    for key, tensor in plain[1].items():
        assert torch.equal(keeping[1][key], tensor), key


class Foreign(nn.Module):
    """Somebody else's block: torch's own randomness, a buffer that decides what comes out, an iterated weight."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(
            nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), nn.RReLU(), nn.Dropout(0.4)
        )
        self.register_buffer("calls", torch.ones(()))

    def forward(self, x, *, scale):
        self.calls += 1
        return F.dropout(self.inner(x), 0.3) * scale / self.calls, scale


class ForeignNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Tanh())))
        self.body = nn.ModuleList(Foreign() for _ in range(2))

    def forward(self, x):
        x, scale = self.front(x), 2.0
        for block in self.body:
            x, scale = block(x, scale=scale)
        return x


def test_third_parties_modules_are_the_same_to_the_bit():
    found = []
    for keep in (False, True):
        torch.manual_seed(5)
        network = replace_dropout(ForeignNetwork())
        blocks = find_blocks(network) if keep else ()
        x = torch.linspace(-1, 1, 32).view(4, 8).requires_grad_()
        for _ in range(2):
            with keeping_inputs(blocks):
                output = network(x)
            output.square().sum().backward()
        found.append([output, x.grad, *network.state_dict().values(), *(p.grad for p in network.parameters())])
        assert not any("forward" in vars(module) for module in network.modules())
    assert len(blocks) == 4 + 2
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)


def test_blocks_are_modules_of_several_layers_in_lists(registry):
    resnet = registry.create("architecture", "resnet", depth=18, width=4).build(io_of("image", 3, 16, 16))
    names = {module: name for name, module in resnet.named_modules()}
    found = [names[block.owner] for block in find_blocks(resnet)]
    assert found == ["stem", *(f"stages.{stage}.{block}" for stage in range(4) for block in range(2))]
    assert find_blocks(nn.Linear(2, 2)) == ()
    assert find_blocks(nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])) == ()
    flat = nn.Sequential(*(nn.Linear(2, 2) for _ in range(9)))
    assert [len(block.parts) for block in find_blocks(flat)] == [3, 3, 3]
    lists = nn.Sequential(nn.Linear(2, 2), nn.Sequential(flat, nn.Sequential(nn.Linear(2, 2), nn.ReLU())))
    assert [block.owner for block in find_blocks(lists)] == [lists[1][0], lists[1][1]]


def peak(run):
    """Most bytes allocated at once while something runs, by torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    now = most = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def test_it_saves_memory(member, registry):
    deep = registry.create("architecture", "mlp", hidden=[64] * 12, norm="batch", dropout=0.2)
    taken = []
    for keep in (False, True):
        own = member(architecture=deep, io=io_of("features", 64), switches=Switches(activation_checkpointing=keep))
        batch = batch_of(own, 1024)
        network = build_network(own, CPU)
        step = make_step(own, network, torch.optim.SGD(network.parameters(), lr=0.1), CPU)
        step(batch)
        taken.append(peak(lambda step=step, batch=batch: step(batch)))
    assert taken[1] < 0.5 * taken[0]


def test_it_resumes_to_the_same_bits_as_without(member, batches, tmp_path):
    own = member(epochs=3, select="last", switches=Switches(activation_checkpointing=True))
    whole = train([member(epochs=3, select="last")], batches, tmp_path / "whole", "loop")
    with pytest.raises(Interrupted):
        train([own], batches, tmp_path / "cut", "loop", watch=Silent(stop_after=1), seconds=0)
    same_bits(whole, train([own], batches, tmp_path / "cut", "loop", resume=True))


def test_a_network_without_blocks_is_refused(member, registry):
    own = member(
        architecture=registry.create("architecture", "linear"), switches=Switches(activation_checkpointing=True)
    )
    network = build_network(own, CPU)
    with pytest.raises(
        UsageError, match="train.activation_checkpointing = true, but linear has no blocks .* set it to"
    ):
        make_step(own, network, torch.optim.SGD(network.parameters(), lr=0.1), CPU)
