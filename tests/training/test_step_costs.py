"""Memory of a training step on few rows and many: against torch's profiler, and against what is derived by hand."""

import pytest
import torch
from measured_memory import measured_peak

from dlcli.builtin.architectures.flat import FlatNetwork
from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.task import Task
from dlcli.training.step_costs import step_costs

CPU = torch.device("cpu")


@pytest.fixture
def narrow(registry, member):
    """A member with many narrow layers: much memory, little to compute."""

    def make(**changes):
        io = InputOutput((Field("x", "input", "features", (16,), "float32"),), Task.MULTICLASS, 10)
        architecture = registry.create("architecture", "mlp", hidden=[32] * 12)
        return member(**{"io": io, "architecture": architecture, "preprocessing": {}, **changes})

    return make


def batch_of(rows, *shape):
    return Batch((torch.randn(rows, *shape),), torch.randint(0, 10, (rows,)))


def test_the_peak_that_torch_measures_is_near_the_estimate(narrow):
    """At 500 MB and more: tests/bench/bench_memory.py."""
    memory = step_costs(narrow(), batch_of(8, 16), CPU).memory(20_000)
    estimate = memory.total - memory.copies
    assert estimate > 30e6
    assert measured_peak(narrow(), batch_of(20_000, 16), CPU) == pytest.approx(estimate, rel=0.05)


@pytest.mark.parametrize("rows", [64, 512])
@pytest.mark.parametrize("parameters", [{"norm": "batch"}, {"channels": [8, 16, 32], "pool": "avg"}])
def test_so_it_is_for_images(registry, narrow, parameters, rows):
    io = InputOutput((Field("x", "input", "image", (1, 16, 16), "float32"),), Task.MULTICLASS, 10)
    member = narrow(io=io, architecture=registry.create("architecture", "cnn", **parameters))
    memory = step_costs(member, batch_of(8, 1, 16, 16), CPU).memory(rows)
    measured = measured_peak(member, batch_of(rows, 1, 16, 16), CPU)
    assert measured == pytest.approx(memory.total - memory.copies, rel=0.25)


@pytest.mark.parametrize(
    ("optimizer", "times"), [({"name": "sgd"}, 0), ({"name": "sgd", "momentum": 0.9}, 1), ({"name": "adam"}, 2)]
)
def test_parameters_count_with_their_gradients_and_the_state_of_the_optimizer(registry, narrow, optimizer, times):
    memory = step_costs(narrow(optimizer=registry.create("optimizer", **optimizer)), batch_of(8, 16), CPU).memory(100)
    weights = 4 * (16 * 32 + 11 * 32 * 32 + 12 * 32 + 32 * 10 + 10)
    buffers = 12 * 3 * 4  # of each Dropout
    assert (memory.parameters, memory.gradients, memory.copies) == (weights + buffers, weights, weights)
    # Adam counts its steps beside.
    assert memory.optimizer_state == times * weights + (4 * 26 if times == 2 else 0)
    # Twelve activations, the log-probabilities, and the weight of the loss; a row of data is 16 numbers and a class.
    assert memory.activations == 100 * 4 * (12 * 32 + 10) + 4
    assert memory.data == 100 * (16 * 4 + 8)
    parts = (memory.parameters, memory.gradients, memory.optimizer_state, memory.copies, memory.data)
    assert memory.total == sum(parts) + memory.activations + memory.working


def test_an_averager_keeps_one_more_copy(registry, narrow):
    plain, averaged = (
        step_costs(narrow(averager=averager), batch_of(8, 16), CPU).memory(8)
        for averager in (None, registry.create("averager", "ema"))
    )
    assert averaged.copies == 2 * plain.copies


def test_the_largest_batch_is_the_last_power_of_two_that_fits(narrow):
    costs = step_costs(narrow(), batch_of(8, 16), CPU)
    available = costs.memory(1000).total
    assert costs.largest_batch(available) == 512
    assert costs.memory(512).total <= available < costs.memory(1024).total
    assert costs.largest_batch(costs.memory(1024).total) == 1024
    assert costs.largest_batch(1000) == 0


def test_a_batch_of_one_row_and_a_norm_that_needs_two(registry, narrow):
    member = narrow(architecture=registry.create("architecture", "mlp", hidden=[4], norm="batch"))
    assert step_costs(member, batch_of(1, 16), CPU).memory(2).activations > 0


def test_rows_of_a_sequence_count_with_their_mean_length(registry, narrow):
    io = InputOutput((Field("x", "input", "sequence", (40, 16), "float32"),), Task.MULTICLASS, 10)
    member = narrow(io=io, architecture=registry.create("architecture", "gru", hidden=8))
    rows = batch_of(6, 40, 16)
    short, long = (
        step_costs(member, rows._replace(lengths=torch.tensor(lengths)), CPU)
        for lengths in ([5, 15, 10, 10, 10, 10], [40] * 6)
    )
    step = 2 * 3 * 8 * (16 + 8)
    assert (short.forward_flops, long.forward_flops) == (10 * step + 160, 40 * step + 160)
    assert short.memory(64).activations < 0.6 * long.memory(64).activations


def test_steps_that_differ_in_more_than_sizes_are_compared_by_their_peaks(narrow, monkeypatch):
    """A forward pass with one operation for each row, as code with a loop over rows has."""
    whole = step_costs(narrow(), batch_of(8, 16), CPU).memory(4096).total
    in_training = FlatNetwork.forward

    def by_rows(network, *inputs, **extra):
        return in_training(network, torch.stack([row * 1 for row in inputs[0]]), **extra)

    monkeypatch.setattr(FlatNetwork, "forward", by_rows)
    assert step_costs(narrow(), batch_of(8, 16), CPU).memory(4096).total == pytest.approx(whole, rel=0.1)


def test_nothing_is_left_behind(narrow):
    before = torch.random.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        step_costs(narrow(), batch_of(8, 16), CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
