import torch

from dlcli import CLASSIFICATION, REGRESSION, Task, probabilities

Z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) * 30


def test_probabilities():
    assert torch.equal(probabilities(Z, Task.MULTICLASS), Z.log_softmax(-1).exp())
    assert torch.equal(probabilities(Z, Task.BINARY), Z.sigmoid())
    assert torch.equal(probabilities(Z, Task.MULTILABEL), Z.sigmoid())
    assert probabilities(Z, Task.REGRESSION) is Z


def test_log_probabilities_and_log_odds_read_as_logits():
    p = probabilities(Z, Task.MULTICLASS)
    torch.testing.assert_close(probabilities(Z.log_softmax(-1), Task.MULTICLASS), p)


def test_tasks():
    assert set(Task) == CLASSIFICATION | REGRESSION
    assert {task for task in Task if task.classifies} == CLASSIFICATION
    assert Task("multiclass") is Task.MULTICLASS
