import pytest
import torch
from pydantic import ValidationError
from torch.optim.swa_utils import SWALR

from dlcli import History, Horizon

NOTHING_YET = History((), "val_loss", "min")


def factors(schedule, epochs, per_epoch):
    whole = Horizon(epochs * per_epoch, per_epoch)
    return [schedule.factor(step, whole, NOTHING_YET) for step in range(whole.steps)]


def torchs(steps, factor, anneal_steps, form):
    """Rates of torch's SWALR over base rate 1, stepped after every optimizer step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = SWALR(optimizer, swa_lr=factor, anneal_epochs=anneal_steps, anneal_strategy=form)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("form", "torch_form"), [("cosine", "cos"), ("linear", "linear")])
@pytest.mark.parametrize("factor", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("anneal_epochs", [0, 1, 2])
def test_from_its_start_on_it_is_torchs(registry, form, torch_form, factor, anneal_epochs):
    schedule = registry.create(
        "schedule", "swa", start=0.6, final_factor=factor, anneal_epochs=float(anneal_epochs), anneal=form
    )
    expected = [1.0] * 42 + torchs(28, factor, anneal_epochs * 7, torch_form)
    assert factors(schedule, 10, 7) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("start", "epochs", "ones"),
    [(0.0, 8, 0), (0.75, 8, 6), (0.75, 10, 7), (0.29, 100, 29), (0.99, 3, 2)],
)
def test_the_anneal_begins_with_an_epoch(registry, start, epochs, ones):
    schedule = registry.create("schedule", "swa", start=start, anneal_epochs=0.0, final_factor=0.5)
    found = factors(schedule, epochs, 4)
    assert found == [1.0] * (4 * ones) + [0.5] * (4 * (epochs - ones))


def test_it_begins_when_the_averager_of_that_name_does(registry):
    for epochs in range(1, 40):
        schedule = registry.create("schedule", "swa", start=0.7, anneal_epochs=0.0)
        averager = registry.create("averager", "swa", start=0.7)
        whole = Horizon(3 * epochs, 3)
        rate_falls = factors(schedule, epochs, 3).index(0.5)
        first = next(step for step in range(whole.steps) if averager.weight(step, whole) is not None)
        assert rate_falls + 2 == first  # the end of the epoch that the anneal begins


def test_after_a_warm_up_the_shares_are_of_the_rest(registry):
    schedule = registry.create("schedule", "swa", warmup_epochs=2.0, start=0.5, anneal_epochs=0.0)
    assert factors(schedule, 6, 2) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5])


def test_it_stays_at_its_end_and_needs_the_horizon(registry):
    schedule = registry.create("schedule", "swa", final_factor=0.2)
    assert schedule.needs_horizon
    assert schedule.factor(1000, Horizon(40, 4), NOTHING_YET) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start": 1.0}, "less than 1"),
        ({"start": -0.1}, "greater than or equal to 0"),
        ({"final_factor": 0.0}, "greater than 0"),
        ({"anneal_epochs": -1.0}, "greater than or equal to 0"),
        ({"anneal": "cos"}, "'cosine' or 'linear'"),
    ],
)
def test_ranges(registry, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("schedule", "swa", **parameters)
