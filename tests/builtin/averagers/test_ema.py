import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from dlcli import Horizon

WHOLE = Horizon(40, 5)


@pytest.mark.parametrize(
    ("step", "weight"), [(0, 0.9), (1, 1 - 2 / 11), (8, 0.5), (89, 9 / 99), (890, 0.01), (5000, 0.01)]
)
def test_weights_by_hand(registry, step, weight):
    averager = registry.create("averager", "ema", decay=0.99)
    assert averager.weight(step, WHOLE) == pytest.approx(weight, rel=1e-12)


def test_the_warm_up_ends_where_it_says(registry):
    averager = registry.create("averager", "ema", decay=0.9)
    assert averager.weight(79, WHOLE) > 0.1 + 1e-12
    assert averager.weight(80, WHOLE) == pytest.approx(0.1)  # (10 · 0.9 − 1) / (1 − 0.9) = 80


def test_without_a_warm_up_to_wait_for_it_is_torchs(registry):
    decay = 0.08  # below the warm-up's first value, 0.1
    averager = registry.create("averager", "ema", decay=decay)
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    model = AveragedModel(network, avg_fn=get_ema_avg_fn(decay))
    model.update_parameters(network)  # torch's first update copies
    average = network.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
            average += averager.weight(step, WHOLE) * (network.weight - average)
        model.update_parameters(network)
    torch.testing.assert_close(average, model.module.weight.detach())


def test_a_decay_of_zero_follows_the_weights(registry):
    averager = registry.create("averager", "ema", decay=0.0)
    assert {averager.weight(step, WHOLE) for step in range(40)} == {1}


@pytest.mark.parametrize(("decay", "message"), [(1.0, "less than 1"), (-0.1, "greater than or equal to 0")])
def test_ranges(registry, decay, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("averager", "ema", decay=decay)
