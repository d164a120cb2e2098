import numpy as np
import pytest
import torch
from dlcli_example.median_vote import MedianVote

from dlcli import Task, probabilities


def combined(outputs, task):
    return MedianVote().combine(task, {}, {})(outputs)


@pytest.mark.parametrize("members", [1, 2, 5, 6])
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTILABEL, Task.REGRESSION])
def test_it_is_numpys_median(task, members):
    outputs = torch.randn(members, 7, 3, generator=torch.Generator().manual_seed(0))
    expected = np.median(probabilities(outputs, task).numpy(), axis=0)
    found = probabilities(combined(outputs, task), task)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-6)


def test_classes_have_numpys_median_scaled():
    outputs = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0))
    expected = np.median(outputs.softmax(-1).numpy(), axis=0)
    expected /= expected.sum(-1, keepdims=True)
    torch.testing.assert_close(combined(outputs, Task.MULTICLASS).exp(), torch.from_numpy(expected))


def test_one_that_has_gone_astray_moves_nothing():
    outputs = torch.tensor([1.0, 1.1, 1.2, 1e9])[:, None, None]
    assert float(combined(outputs, Task.REGRESSION)) == pytest.approx(1.15)


def test_members_who_contradict_each_other_leave_it_open():
    outputs = 1000 * torch.eye(3)[:, None, :]
    torch.testing.assert_close(combined(outputs, Task.MULTICLASS).exp(), torch.full((1, 3), 1 / 3))
