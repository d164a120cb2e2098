import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax

from dlcli.contracts.task import Task, probabilities
from dlcli.layers.combining import MeanOfMembers


@pytest.fixture
def outputs():
    """Of four members for five rows and three answers."""
    return torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)) * 4


def test_multiclass_is_the_log_of_mean_probabilities(outputs):
    expected = softmax(outputs.double().numpy(), axis=-1).mean(0)
    combined = MeanOfMembers(Task.MULTICLASS)(outputs)
    np.testing.assert_allclose(combined.exp(), expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities(combined, Task.MULTICLASS), expected, rtol=1e-5)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTILABEL])
def test_binary_and_multilabel_are_the_log_odds_of_mean_probabilities(outputs, task):
    expected = expit(outputs.double().numpy()).mean(0)
    combined = MeanOfMembers(task)(outputs)
    np.testing.assert_allclose(combined, logit(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities(combined, task), expected, rtol=1e-5)


def test_regression_is_the_mean(outputs):
    torch.testing.assert_close(MeanOfMembers(Task.REGRESSION)(outputs), outputs.mean(0))


def test_positions_are_combined_one_by_one(outputs):
    by_position = outputs.unsqueeze(2).expand(4, 5, 7, 3)
    combined = MeanOfMembers(Task.MULTICLASS)(by_position)
    torch.testing.assert_close(combined[:, 6], MeanOfMembers(Task.MULTICLASS)(outputs))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.MULTILABEL])
@pytest.mark.parametrize("size", [60.0, 1e4])
def test_certain_members_give_finite_outputs(task, size):
    outputs = torch.tensor([[[size, -size]], [[size, -size]]])
    combined = MeanOfMembers(task)(outputs)
    assert combined.isfinite().all()
    found = probabilities(combined, task)
    assert found.min().item() == pytest.approx(1e-7, rel=1e-3)
    assert 1 - found.double().max().item() == pytest.approx(1e-7, abs=6e-8)


@pytest.mark.parametrize("task", list(Task))
def test_the_mean_of_one_is_that_one(outputs, task):
    one = outputs[:1]
    torch.testing.assert_close(
        probabilities(MeanOfMembers(task)(one), task), probabilities(one[0], task), rtol=1e-5, atol=1e-6
    )
