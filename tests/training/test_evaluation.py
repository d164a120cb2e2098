import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.task import Task
from dlcli.training.evaluation import evaluate
from dlcli.training.objective import batch_loss, weighted_sum


class Given(nn.Module):
    """Returns its input: outputs are what the test says they are."""

    def forward(self, x, **_):
        return x


def in_batches(outputs, targets, size, **extra):
    for start in range(0, len(outputs), size):
        rows = slice(start, start + size)
        yield Batch((outputs[rows],), targets[rows], **{name: value[rows] for name, value in extra.items()})


@pytest.fixture
def classes():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(103, 4, generator=generator) * 3, torch.randint(4, (103,), generator=generator)


@pytest.mark.parametrize("size", [1, 7, 50, 103, 4096])
def test_figures_are_scikit_learns_whatever_the_batches(registry, classes, size):
    outputs, targets = classes
    metrics = {name: registry.create("metric", name) for name in ("accuracy", "nll")}
    found = evaluate(
        Given(),
        in_batches(outputs, targets, size),
        task=Task.MULTICLASS,
        loss=registry.create("loss", "cross_entropy"),
        metrics=metrics,
    )
    probabilities = outputs.double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(log_loss(targets, probabilities), rel=1e-5)
    assert found["nll"] == pytest.approx(log_loss(targets, probabilities), rel=1e-9)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, probabilities.argmax(1)))


def test_row_weights_are_scikit_learns(registry, classes):
    outputs, targets = classes
    weight = torch.rand(103, generator=torch.Generator().manual_seed(1))
    found = evaluate(
        Given(),
        in_batches(outputs, targets, 10, weight=weight),
        task=Task.MULTICLASS,
        loss=registry.create("loss", "cross_entropy"),
        metrics={"accuracy": registry.create("metric", "accuracy")},
    )
    probabilities = outputs.double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(log_loss(targets, probabilities, sample_weight=weight), rel=1e-5)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, probabilities.argmax(1), sample_weight=weight))


def test_positions_beyond_the_length_do_not_count(registry):
    generator = torch.Generator().manual_seed(2)
    outputs, targets = torch.randn(5, 6, 3, generator=generator), torch.randint(3, (5, 6), generator=generator)
    lengths = torch.tensor([6, 1, 3, 5, 2])
    valid = torch.arange(6) < lengths.unsqueeze(1)
    found = evaluate(
        Given(),
        in_batches(outputs, targets, 2, lengths=lengths),
        task=Task.MULTICLASS,
        loss=registry.create("loss", "cross_entropy"),
        metrics={"accuracy": registry.create("metric", "accuracy")},
    )
    probabilities = outputs[valid].double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(log_loss(targets[valid], probabilities), rel=1e-5)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets[valid], probabilities.argmax(1)))


def test_no_rows_give_nan_and_the_mode_of_the_network_stays(registry):
    network = Given().train()
    found = evaluate(network, [], task=Task.REGRESSION, loss=registry.create("loss", "mse"), metrics={})
    assert np.isnan(found["loss"])
    assert network.training


def test_an_offset_is_added_to_the_outputs(registry):
    batch = Batch((torch.zeros(3, 1),), torch.ones(3, 1), offset=torch.ones(3, 1))
    found = evaluate(Given(), [batch], task=Task.REGRESSION, loss=registry.create("loss", "mse"), metrics={})
    assert found["loss"] == 0


def test_filler_may_hold_anything(registry):
    loss = registry.create("loss", "mse")
    output = torch.tensor([[1.0], [float("inf")]])
    batch = Batch((output,), torch.zeros(2, 1), weight=torch.tensor([1.0, 0.0]))
    total, weight = weighted_sum(loss, output, batch.target, batch)
    assert (total.item(), weight.item()) == (1.0, 1.0)


def test_weights_of_zero_alone_give_a_loss_of_zero(registry):
    output = torch.ones(2, 1, requires_grad=True)
    batch = Batch((output,), torch.zeros(2, 1), weight=torch.zeros(2))
    value = batch_loss(registry.create("loss", "mse"), output, (batch.target,), None, batch)
    value.backward()
    assert value.item() == 0
    assert output.grad.abs().sum() == 0


def test_a_mixed_batch_is_the_mixture_of_two_losses(registry, classes):
    outputs, targets = classes
    other = targets.flip(0)
    loss = registry.create("loss", "cross_entropy")
    batch = Batch((outputs,), targets)
    mixed = batch_loss(loss, outputs, (targets, other), torch.tensor(0.3), batch)
    expected = 0.3 * loss.mean(outputs, targets) + 0.7 * loss.mean(outputs, other)
    torch.testing.assert_close(mixed, expected)
