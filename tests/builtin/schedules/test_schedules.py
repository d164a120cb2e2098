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


def one_cycle(optimizer, steps, **arguments):
    return lr_scheduler.OneCycleLR(optimizer, 1.0, steps, cycle_momentum=False, **arguments)


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
    ("exponential", {}, lambda o, steps: lr_scheduler.ExponentialLR(o, 0.95 ** (1 / PER_EPOCH)), 1),
    (
        "exponential",
        {"multiplier": 0.5},
        lambda o, steps: lr_scheduler.ExponentialLR(o, 0.5 ** (1 / PER_EPOCH)),
        1,
    ),
    ("multi_step", {"milestones": [2, 3, 7]}, lambda o, steps: lr_scheduler.MultiStepLR(o, [2, 3, 7]), PER_EPOCH),
    (
        "multi_step",
        {"milestones": [1, 50], "multiplier": 0.7},
        lambda o, steps: lr_scheduler.MultiStepLR(o, [1, 50], gamma=0.7),
        PER_EPOCH,
    ),
    ("one_cycle", {}, lambda o, steps: one_cycle(o, steps), 1),
    (
        "one_cycle",
        {"rise": 0.55, "anneal": "linear", "initial_factor": 0.2, "final_factor": 0.01},
        lambda o, steps: one_cycle(
            o, steps, pct_start=0.55, anneal_strategy="linear", div_factor=5.0, final_div_factor=20.0
        ),
        1,
    ),
    ("one_cycle", {"rise": 0.0}, lambda o, steps: one_cycle(o, steps, pct_start=0.0), 1),
    ("one_cycle", {"rise": 0.01}, lambda o, steps: one_cycle(o, steps, pct_start=0.01), 1),
    *(
        ("polynomial", {"power": power}, lambda o, steps, p=power: lr_scheduler.PolynomialLR(o, steps, power=p), 1)
        for power in (0.5, 1.0, 2.0)
    ),
    ("step", {"step_epochs": 3}, lambda o, steps: lr_scheduler.StepLR(o, 3), PER_EPOCH),
    ("step", {"step_epochs": 1, "multiplier": 0.7}, lambda o, steps: lr_scheduler.StepLR(o, 1, gamma=0.7), PER_EPOCH),
]
NAMES = ["constant", "cosine", "cosine_restarts", "exponential", "multi_step", "one_cycle", "polynomial", "step"]


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
    after = torchs(lambda o: make(o, rest.steps), rest, every)
    expected = [rate * after[0] for rate in warm] + after
    assert factors(schedule) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("start", [0.1, 0.6])
@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_from_a_share_is_torchs_sequence(registry, name, start):
    """LinearLR, from its second step on, and then the schedule: both multiply the same base rate."""
    steps = 2 * PER_EPOCH
    schedule = registry.create("schedule", name, warmup_epochs=2.0, warmup_start_factor=start)
    after = registry.create("schedule", name)
    rest = Horizon(WHOLE.steps - steps, PER_EPOCH)
    first = after.factor(0, rest, NOTHING_YET)

    def sequence(optimizer):
        # The base rate is what the schedule starts at, so that the warm-up leads there.
        warm = lr_scheduler.LinearLR(optimizer, start, total_iters=steps)
        then = lr_scheduler.LambdaLR(optimizer, lambda step: after.factor(step, rest, NOTHING_YET) / first)
        return lr_scheduler.SequentialLR(optimizer, [warm, then], milestones=[steps])

    expected = [rate * first for rate in torchs(sequence)]
    found = factors(schedule)
    assert found[: steps - 1] == pytest.approx(expected[1:steps], rel=1e-12)
    assert found[steps:] == pytest.approx(expected[steps:], rel=1e-12, abs=1e-14)


def test_the_horizon_matters_where_it_is_said_to(registry):
    longer = Horizon(WHOLE.steps + 3 * PER_EPOCH, PER_EPOCH)
    for name in NAMES:
        schedule = registry.create("schedule", name, warmup_epochs=1.0)
        same = factors(schedule) == factors(schedule, longer)[: WHOLE.steps]
        assert same is not schedule.needs_horizon


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_as_long_as_the_training(registry, name):
    schedule = registry.create("schedule", name, warmup_epochs=float(EPOCHS))
    first = 0.04 if name == "one_cycle" else 1.0
    assert factors(schedule) == pytest.approx([(step + 1) / WHOLE.steps * first for step in range(WHOLE.steps)])


@pytest.mark.parametrize("initial", [0.5, 3.0])
def test_restarts_from_another_rate_are_torchs_from_that_rate(registry, initial):
    schedule = registry.create(
        "schedule", "cosine_restarts", period_epochs=4, initial_factor=initial, final_factor=0.25
    )
    expected = torchs(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4 * PER_EPOCH, eta_min=0.25 / initial))
    assert factors(schedule)[:: 4 * PER_EPOCH] == pytest.approx([initial] * 3)
    assert factors(schedule) == pytest.approx([initial * rate for rate in expected], rel=1e-12)


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "polynomial"])
def test_what_ends_stays_at_its_end(registry, name):
    schedule = registry.create("schedule", name, final_factor=0.3)
    assert schedule.factor(WHOLE.steps, WHOLE, NOTHING_YET) == pytest.approx(0.3)
    assert schedule.factor(10 * WHOLE.steps, WHOLE, NOTHING_YET) == pytest.approx(0.3)


@pytest.mark.parametrize("final", [0.1, 0.9])
def test_a_polynomial_ends_above_0_where_it_is_said_to(registry, final):
    expected = torchs(lambda o: lr_scheduler.PolynomialLR(o, WHOLE.steps, power=2.0))
    schedule = registry.create("schedule", "polynomial", power=2.0, final_factor=final)
    assert factors(schedule) == pytest.approx([final + (1 - final) * rate for rate in expected], rel=1e-12)


def test_a_cycle_may_rise_to_the_end(registry):
    schedule = registry.create("schedule", "one_cycle", rise=1.0, anneal="linear", initial_factor=0.5)
    assert factors(schedule) == pytest.approx([0.5 + 0.5 * t / (WHOLE.steps - 1) for t in range(WHOLE.steps)])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_training_of_few_steps_has_one_cycle_too(registry, steps):
    found = factors(registry.create("schedule", "one_cycle"), Horizon(steps, 1))
    assert found == pytest.approx(torchs(lambda o: one_cycle(o, steps), Horizon(steps, 1)))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("multi_step", {"milestones": [3, 2]}, r"milestones must rise, got \[3, 2\]: sort them, and name each once"),
        ("multi_step", {"milestones": [2, 2]}, r"milestones must rise, got \[2, 2\]"),
        ("multi_step", {"milestones": []}, "at least 1 item"),
        ("multi_step", {"milestones": [0]}, "greater than or equal to 1"),
        ("exponential", {"multiplier": 1.5}, "less than or equal to 1"),
        ("one_cycle", {"rise": 1.5}, "less than or equal to 1"),
        ("one_cycle", {"initial_factor": 0.0}, "greater than 0"),
        ("one_cycle", {"anneal": "steep"}, "'cosine' or 'linear'"),
        ("polynomial", {"power": 0.0}, "greater than 0"),
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
