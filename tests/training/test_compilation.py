"""Compiled training. torch's own compiler takes half a minute: most is seen with a backend that only captures."""

import os
import shutil

import pytest
import torch
from engines import CPU, Silent, same_bits, train
from torch import nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.switches import Switches
from dlcli.errors import Interrupted, TrainingError, UsageError
from dlcli.training.compilation import Compiled, check_compiler, compiling
from dlcli.training.network import active_dropouts, build_network, seed_epoch
from dlcli.training.switched_step import make_step


@pytest.fixture
def captured(monkeypatch):
    """Let torch.compile capture networks without making machine code of them."""
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **given: compile_with(network, backend="eager", **given))
    yield
    torch._dynamo.reset()


@pytest.fixture
def own(member, registry):
    def make(*, compile, **changes):
        dropping = registry.create("architecture", "mlp", hidden=[8], norm="batch", dropout=0.3)
        rows = torch.arange(150)
        given = {"architecture": dropping, "epochs": 2, "select": "last", "training_rows": rows, **changes}
        return member(**{"switches": Switches(compile=compile), **given})

    return make


def test_it_learns_what_it_learns_uncompiled_with_the_same_masks_and_names(captured, own, batches, tmp_path):
    plain, compiled = (
        train([own(compile=on)], batches, tmp_path / str(on), "loop", seconds=0)[0] for on in (False, True)
    )
    assert compiled.state.keys() == plain.state.keys()
    for name, tensor in plain.state.items():
        torch.testing.assert_close(compiled.state[name], tensor, rtol=1e-4, atol=1e-6)
    both = own(compile=True, switches=Switches(compile=True, accumulate=2, precision="bfloat16"))
    one = own(compile=False, switches=Switches(accumulate=2, precision="bfloat16"))
    plain, compiled = (train([each], batches, tmp_path / n, "loop")[0] for n, each in (("one", one), ("both", both)))
    for name, tensor in plain.state.items():
        torch.testing.assert_close(compiled.state[name], tensor, rtol=1e-2, atol=1e-3)
    from torch._dynamo.utils import counters

    assert counters["stats"]["unique_graphs"] >= 1
    assert not counters["graph_break"]


def test_it_resumes_to_the_same_bits(captured, own, batches, tmp_path):
    whole = train([own(compile=True)], batches, tmp_path / "whole", "loop")
    with pytest.raises(Interrupted):
        train([own(compile=True)], batches, tmp_path / "cut", "loop", watch=Silent(stop_after=1), seconds=0)
    same_bits(whole, train([own(compile=True)], batches, tmp_path / "cut", "loop", resume=True))


class Broken(nn.Module):
    """Asks for a number in the middle, which cannot be captured."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        y = self.inner(x)
        print(float(y.sum()))
        return y


class Changing(nn.Module):
    """Does something else at every call."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls = nn.Linear(4, 2), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * (self.calls**2 % 1000)


def test_what_cannot_be_compiled_as_a_whole_is_told(captured):
    with (
        pytest.raises(
            TrainingError, match=r"train.compile = true, but torch cannot compile the network as a whole: \S"
        ),
        compiling(),
    ):
        Compiled(Broken())(torch.zeros(3, 4))


def test_what_would_be_compiled_again_and_again_is_told(captured):
    network = Compiled(Changing())

    def calls():
        for _ in range(20):
            network(torch.zeros(3, 4))

    with pytest.raises(TrainingError, match=r"compiled 9 times, since .* every few .* set train.compile = false"):
        calls()


def test_networks_of_other_widths_are_compiled_each_for_itself(captured):
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    networks = [Compiled(nn.Sequential(nn.Linear(4, width), nn.Tanh())) for width in range(1, 13)]
    for network in (*networks, *networks):
        network(torch.zeros(3, 4))
    assert counters["stats"]["unique_graphs"] - before == 12
    assert all(network._count == 1 for network in networks)


@pytest.mark.parametrize(("name", "does"), [("weight_noise", "changes parameters"), ("activity_l1", "sees outputs of")])
def test_regularizers_inside_the_network_are_refused(name, does, own, registry):
    member = own(compile=True, regularizers=(registry.create("regularizer", name),))
    network = build_network(member, CPU)
    with pytest.raises(
        UsageError, match=rf"train.compile = true, but the regularizer {name} {does}.* leave {name} out"
    ):
        make_step(member, network, torch.optim.SGD(network.parameters(), lr=0.1), CPU)


def test_a_missing_compiler_is_told_before_anything_begins(monkeypatch):
    monkeypatch.setattr(torch._inductor.cpp_builder, "get_cpp_compiler", _none)
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler, and none was found: install g\+\+ .* or set train"):
        check_compiler(CPU)
    with pytest.raises(UsageError, match="needs triton for this GPU.*pip install triton, or set train.compile = false"):
        check_compiler(torch.device("cuda"))


def _none():
    from torch._inductor.exc import InvalidCxxCompiler

    raise InvalidCxxCompiler


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch's own compiler, by itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
def test_torchs_own_compiler_takes_a_step_as_without_it(own, dataset, monkeypatch):
    """The smallest network, for real: compiling takes most of half a minute."""
    variable = "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"  # torch leaves it behind
    monkeypatch.setenv(variable, "")
    del os.environ[variable]
    results = []
    x = dataset.tensors["x"][:64].float() / 16
    for on in (False, True):
        member = own(compile=on)
        network = build_network(member, CPU)
        step = make_step(member, network, torch.optim.SGD(network.parameters(), lr=0.1), CPU)
        seed_epoch(active_dropouts(network), member, 1, CPU)
        losses = [step(Batch((x,), dataset.tensors["y"][:64])) for _ in range(3)]
        results.append([*losses, *network.state_dict().values()])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-6)
