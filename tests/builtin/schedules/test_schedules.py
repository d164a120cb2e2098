import pytest
import torch
from pydantic import ValidationError
from torch.optim import lr_scheduler

from dlcli import History, Horizon

EPOCHS, PER_EPOCH = 12, 7
WHOLE = Horizon(EPOCHS * PER_EPOCH, PER_EPOCH)
NOTHING_YET = History((), "val_loss", "min")


def factors(schedule, horizon=WHOLE):
    return [schedule.factor(step, horizon, NOTHING_YET) for step in range(horizon.steps)]


def torchs(make, horizon=WHOLE, every=1):
    """Rates of torch's scheduler over base rate 1, stepped after every so many optimizer steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for step in range(horizon.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return rates


ORACLES = [
    ("constant", {}, lambda o, steps: lr_scheduler.ConstantLR(o, factor=1.0), 1),
    ("cosine", {}, lambda o, steps: lr_scheduler.CosineAnnealingLR(o, steps), 1),
    ("cosine", {"final_factor": 0.1}, lambda o, steps: lr_scheduler.CosineAnnealingLR(o, steps, eta_min=0.1), 1),
    (
        "cosine_restarts",
        {"period_epochs": 5},
        lambda o, s: lr_scheduler.CosineAnnealingWarmRestarts(o, 5 * PER_EPOCH),
        1,
    ),
    (
        "cosine_restarts",
        {"period_epochs": 1, "multiplier": 3, "final_factor": 0.2},
        lambda o, steps: lr_scheduler.CosineAnnealingWarmRestarts(o, PER_EPOCH, T_mult=3, eta_min=0.2),
        1,
    ),
    ("step", {"step_epochs": 3}, lambda o, steps: lr_scheduler.StepLR(o, 3), PER_EPOCH),
    ("step", {"step_epochs": 1, "multiplier": 0.7}, lambda o, steps: lr_scheduler.StepLR(o, 1, gamma=0.7), PER_EPOCH),
]
NAMES = ["constant", "cosine", "cosine_restarts", "step"]


@pytest.mark.parametrize(("name", "parameters", "make", "every"), ORACLES)
def test_factors_are_torchs(registry, name, parameters, make, every):
    schedule = registry.create("schedule", name, **parameters)
    expected = torchs(lambda o: make(o, WHOLE.steps), every=every)
    # An absolute part, since torch's recursion ends a cosine at 1e-17 instead of 0.
    assert factors(schedule) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("name", "parameters", "make", "every"), ORACLES)
def test_after_a_warm_up_the_rest_is_the_same_schedule(registry, name, parameters, make, every):
    schedule = registry.create("schedule", name, warmup_epochs=2.0, **parameters)
    steps = 2 * PER_EPOCH
    rest = Horizon(WHOLE.steps - steps, PER_EPOCH)
    warm = torchs(lambda o: lr_scheduler.LinearLR(o, 1 / steps, total_iters=steps - 1), Horizon(steps, PER_EPOCH))
    expected = warm + torchs(lambda o: make(o, rest.steps), rest, every)
    assert factors(schedule) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_the_horizon_matters_where_it_is_said_to(registry):
    longer = Horizon(WHOLE.steps + 3 * PER_EPOCH, PER_EPOCH)
    for name in NAMES:
        schedule = registry.create("schedule", name, warmup_epochs=1.0)
        same = factors(schedule) == factors(schedule, longer)[: WHOLE.steps]
        assert same is not schedule.needs_horizon


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_as_long_as_the_training(registry, name):
    schedule = registry.create("schedule", name, warmup_epochs=float(EPOCHS))
    assert factors(schedule) == pytest.approx([(step + 1) / WHOLE.steps for step in range(WHOLE.steps)])


@pytest.mark.parametrize("initial", [0.5, 3.0])
def test_restarts_from_another_rate_are_torchs_from_that_rate(registry, initial):
    schedule = registry.create(
        "schedule", "cosine_restarts", period_epochs=4, initial_factor=initial, final_factor=0.25
    )
    expected = torchs(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4 * PER_EPOCH, eta_min=0.25 / initial))
    assert factors(schedule)[:: 4 * PER_EPOCH] == pytest.approx([initial] * 3)
    assert factors(schedule) == pytest.approx([initial * rate for rate in expected], rel=1e-12)


def test_cosine_stays_at_its_end(registry):
    schedule = registry.create("schedule", "cosine", final_factor=0.3)
    assert schedule.factor(WHOLE.steps, WHOLE, NOTHING_YET) == pytest.approx(0.3)
    assert schedule.factor(10 * WHOLE.steps, WHOLE, NOTHING_YET) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("constant", {"warmup_epochs": -1.0}, "greater than or equal to 0"),
        ("cosine", {"final_factor": 1.5}, "less than or equal to 1"),
        ("cosine_restarts", {"period_epochs": 0}, "greater than or equal to 1"),
        ("cosine_restarts", {"multiplier": 0}, "greater than or equal to 1"),
        ("cosine_restarts", {"initial_factor": 0.0}, "greater than 0"),
        ("step", {"step_epochs": 0}, "greater than or equal to 1"),
        ("step", {"step_epochs": 2.5}, "valid integer"),
        ("step", {"multiplier": 0.0}, "greater than 0"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("schedule", name, **parameters)
