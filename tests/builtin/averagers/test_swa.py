import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dlcli import Horizon


@pytest.mark.parametrize(
    ("start", "epochs", "first"), [(0.0, 4, 1), (0.75, 8, 7), (0.75, 10, 8), (0.29, 100, 30), (0.99, 3, 3), (0.5, 1, 1)]
)
def test_it_counts_the_ends_of_the_epochs_after_its_start(registry, start, epochs, first):
    averager = registry.create("averager", "swa", start=start)
    whole = Horizon(6 * epochs, 6)
    weights = {step: averager.weight(step, whole) for step in range(whole.steps)}
    counted = {step: weight for step, weight in weights.items() if weight is not None}
    assert list(counted) == [6 * epoch - 1 for epoch in range(first, epochs + 1)]
    assert list(counted.values()) == [1 / count for count in range(1, epochs - first + 2)]


def test_the_average_is_torchs_and_the_mean(registry):
    averager, whole = registry.create("averager", "swa", start=0.5), Horizon(24, 3)
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    model = AveragedModel(network)
    average, seen = network.weight.detach().clone(), []
    for step in range(whole.steps):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
        weight = averager.weight(step, whole)
        if weight is not None:
            average += weight * (network.weight.detach() - average)
            seen.append(network.weight.detach().clone())
            model.update_parameters(network)
    assert len(seen) == 4
    torch.testing.assert_close(average, torch.stack(seen).mean(0))
    torch.testing.assert_close(average, model.module.weight.detach())


def test_it_goes_on_beyond_the_horizon(registry):
    averager = registry.create("averager", "swa", start=0.5)
    assert averager.weight(29, Horizon(20, 2)) == pytest.approx(1 / 10)


@pytest.mark.parametrize(("start", "message"), [(1.0, "less than 1"), (-0.1, "greater than or equal to 0")])
def test_ranges(registry, start, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("averager", "swa", start=start)
