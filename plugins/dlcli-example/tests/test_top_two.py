import numpy as np
import pytest
import torch
from dlcli_example.top_two import TopTwo
from sklearn.metrics import top_k_accuracy_score


def test_it_is_scikit_learns_top_k_accuracy():
    generator = np.random.default_rng(0)
    logits, classes = generator.normal(size=(200, 5)), generator.integers(0, 5, 200)
    weight = generator.uniform(0, 2, 200)
    metric = TopTwo()
    value = metric.compute(metric.update(*map(torch.from_numpy, (logits, classes, weight))))
    expected = top_k_accuracy_score(classes, logits, k=2, sample_weight=weight, labels=range(5))
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_with_two_classes_every_row_is_right():
    metric = TopTwo()
    value = metric.compute(metric.update(torch.randn(9, 2).double(), torch.arange(9) % 2, torch.ones(9).double()))
    assert float(value) == 1.0
