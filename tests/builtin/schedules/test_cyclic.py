import pytest
import torch
from pydantic import ValidationError
from torch.optim import lr_scheduler

from dlcli import History, Horizon

NOTHING_YET = History((), "val_loss", "min")


def factors(schedule, epochs, per_epoch):
    whole = Horizon(epochs * per_epoch, per_epoch)
    return [schedule.factor(step, whole, NOTHING_YET) for step in range(whole.steps)]


@pytest.mark.parametrize(("cycle_epochs", "low", "high"), [(1, 0.1, 1.0), (2, 0.01, 0.5), (3, 0.3, 0.3)])
def test_it_is_torchs_from_its_second_step_on(registry, cycle_epochs, low, high):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = lr_scheduler.CyclicLR(optimizer, low, high, step_size_up=cycle_epochs * 4, cycle_momentum=False)
    rates = []
    for _ in range(12 * 8):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    schedule = registry.create("schedule", "cyclic", cycle_epochs=cycle_epochs, low=low, high=high)
    assert factors(schedule, 12, 8) == pytest.approx(rates, rel=1e-12)


@pytest.mark.parametrize("per_epoch", [4, 7])
def test_it_is_garipovs_moved_by_half_a_cycle(registry, per_epoch):
    """Section 3.2's rate, whose cycle of c iterations begins and ends high; i counts from 1."""
    high, low, cycle = 0.5, 0.05, 2 * per_epoch

    def garipovs(i):
        t = ((i - 1) % cycle + 1) / cycle
        return (1 - 2 * t) * high + 2 * t * low if t <= 0.5 else (2 - 2 * t) * low + (2 * t - 1) * high

    schedule = registry.create("schedule", "cyclic", cycle_epochs=2, high=high, low=low)
    expected = [garipovs(step + 1 + cycle // 2) for step in range(6 * per_epoch)]
    assert factors(schedule, 6, per_epoch) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("per_epoch", [1, 2, 5, 22])
@pytest.mark.parametrize("cycle_epochs", [1, 2, 3])
def test_it_is_lowest_in_the_last_step_of_every_cycle(registry, per_epoch, cycle_epochs):
    schedule = registry.create("schedule", "cyclic", cycle_epochs=cycle_epochs, low=0.02)
    found, cycle = factors(schedule, 3 * cycle_epochs, per_epoch), cycle_epochs * per_epoch
    assert found[cycle - 1 :: cycle] == pytest.approx([0.02] * 3)
    assert all(factor > 0.02 for step, factor in enumerate(found) if (step + 1) % cycle)


def test_it_needs_no_horizon(registry):
    schedule = registry.create("schedule", "cyclic")
    assert not schedule.needs_horizon
    assert factors(schedule, 5, 3) == factors(schedule, 9, 3)[:15]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cycle_epochs": 0}, "greater than or equal to 1"),
        ({"low": 0.0}, "greater than 0"),
        ({"high": 0.0}, "greater than 0"),
        ({"high": 0.1, "low": 0.2}, r"low is 0.2, above high = 0.1: give a low of at most high"),
    ],
)
def test_ranges(registry, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("schedule", "cyclic", **parameters)
