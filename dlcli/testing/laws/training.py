"""Laws of what drives training: optimizers, schedules, averagers, initializers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlcli import EpochRecord, History, Horizon, Optimizer, Schedule
from dlcli.testing.law import Case, Law, assert_close, assert_equal, assert_finite

STEPS_PER_EPOCH = 5
STEPS = 40


def start(case: Case) -> list[nn.Parameter]:
    """Return parameters to optimize: a matrix and a bias."""
    generator = case.generator()
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (4,))]


def follow(
    case: Case, gradients: Sequence[list[Tensor]], *, lr: float, weight_decay: float = 0.0, coupled: float = 0.0
) -> list[Tensor]:
    """Return parameters after one step a list of gradients, to each of which `coupled` × parameter is added."""
    parameters = start(case)
    optimizer = case.component.build(parameters, lr=lr, weight_decay=weight_decay)
    for each in gradients:
        for parameter, gradient in zip(parameters, each, strict=True):
            parameter.grad = gradient + coupled * parameter.detach()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def random_gradients(case: Case, count: int) -> list[list[Tensor]]:
    """Draw gradients for a few steps."""
    generator = case.generator(1)
    return [[torch.randn(p.shape, generator=generator) for p in start(case)] for _ in range(count)]


def minimizes_a_quadratic(case: Case) -> None:
    """With its defaults it moves every parameter and comes closer to the minimum of a quadratic."""
    optimizer_component: Optimizer = case.component
    parameters = start(case)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = optimizer_component.build(parameters, lr=float(optimizer_component.lr), weight_decay=0.0)
    losses = []
    for _ in range(STEPS):
        loss = torch.stack([((parameter - 3.0) ** 2).sum() for parameter in parameters]).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        losses.append(float(loss.detach()))
        optimizer.step()
        if len(losses) == 1:
            for parameter, was in zip(parameters, before, strict=True):
                assert not torch.equal(parameter, was), f"{case.label}: one step leaves a parameter where it was"
    assert losses[-1] < losses[0], f"{case.label}: {STEPS} steps on a quadratic go from {losses[0]} to {losses[-1]}"


def has_one_group_with_its_rate(case: Case) -> None:
    """It is built with one parameter group, whose `lr` is the rate that was given."""
    optimizer = case.component.build(start(case), lr=0.125, weight_decay=0.0)
    assert len(optimizer.param_groups) == 1, f"{case.label} builds {len(optimizer.param_groups)} parameter groups"
    rate = float(optimizer.param_groups[0]["lr"])
    assert rate == 0.125, f"{case.label}: built with the rate 0.125, its group has {rate}"


def moves_in_proportion_to_its_rate(case: Case) -> None:
    """Given the same gradients, it moves parameters in proportion to the rate: a stack rescales a step of rate 1."""
    gradients = random_gradients(case, 3)
    origin, unit, tenth = start(case), follow(case, gradients, lr=1.0), follow(case, gradients, lr=0.1)
    for at, one, other in zip(origin, unit, tenth, strict=True):
        message = f"{case.label}: a step of rate 0.1 is not a tenth of a step of rate 1"
        assert_close(other - at.detach(), 0.1 * (one - at.detach()), message)


def decays_as_it_says(case: Case) -> None:
    """Weight decay is what `decay` states: a part of the gradient, a shrinking by rate · decay, or nothing."""
    component: Optimizer = case.component
    gradients = random_gradients(case, 1)
    decayed = follow(case, gradients, lr=0.1, weight_decay=0.5)
    plain = follow(case, gradients, lr=0.1)
    if component.decay == "coupled":
        expected = follow(case, gradients, lr=0.1, coupled=0.5)
    elif component.decay == "decoupled":
        expected = [value - 0.1 * 0.5 * at.detach() for value, at in zip(plain, start(case), strict=True)]
    else:
        expected = plain
    for value, wanted in zip(decayed, expected, strict=True):
        assert_close(value, wanted, f"{case.label} states decay = {component.decay!r}, but weight decay does otherwise")


def goes_on_from_its_state(case: Case) -> None:
    """An optimizer that loads the `state_dict` of another goes on to the same bits."""
    gradients = random_gradients(case, 4)
    parameters = start(case)
    optimizer = case.component.build(parameters, lr=0.1, weight_decay=0.01)
    for step, each in enumerate(gradients):
        if step == 2:
            parameters = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
            state = optimizer.state_dict()
            optimizer = case.component.build(parameters, lr=0.1, weight_decay=0.01)
            optimizer.load_state_dict(state)
        for parameter, gradient in zip(parameters, each, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    for parameter, expected in zip(parameters, follow(case, gradients, lr=0.1, weight_decay=0.01), strict=True):
        message = f"{case.label}: differs after its state_dict is loaded by a fresh optimizer"
        assert_equal(parameter.detach(), expected, message)


def history(epochs: int) -> History:
    """Return epochs whose score does not get better."""
    records = tuple(EpochRecord(epoch, 1e-3, {"val_loss": 1.0}, 0.1) for epoch in range(1, epochs + 1))
    return History(records, "val_loss", "min")


def factors(component: Schedule, steps: int, horizon: int) -> list[float]:
    """Return the factors of the first steps of a training."""
    whole = Horizon(horizon, STEPS_PER_EPOCH)
    return [component.factor(step, whole, history(step // STEPS_PER_EPOCH)) for step in range(steps)]


def gives_finite_factors(case: Case) -> None:
    """Every step's factor is a finite number ≥ 0, and not all are 0; a training of one step has one too."""
    for steps in (STEPS, 1):
        found = factors(case.component, steps, steps)
        wrong = [factor for factor in found if not (isinstance(factor, float | int) and 0 <= factor < math.inf)]
        assert not wrong, f"{case.label}: a factor is {wrong[0]!r}, expected a finite number ≥ 0"
        assert any(found), f"{case.label}: all factors of {steps} steps are 0"


def is_a_pure_function(case: Case) -> None:
    """A step's factor is the same whenever it is asked."""
    component: Schedule = case.component
    whole = Horizon(STEPS, STEPS_PER_EPOCH)
    backward = [component.factor(step, whole, history(step // STEPS_PER_EPOCH)) for step in reversed(range(STEPS))]
    message = f"{case.label}: factors depend on the order in which they are asked"
    assert backward[::-1] == factors(component, STEPS, STEPS), message


def warms_up(case: Case) -> None:
    """A warm-up of two epochs rises linearly to the first factor, from 0 or from a share of it."""
    steps = 2 * STEPS_PER_EPOCH
    for start in (0.0, 0.25):
        warm = case.registry.create(case.kind, case.label, warmup_epochs=2.0, warmup_start_factor=start)
        found = factors(warm, STEPS, STEPS)  # type: ignore[arg-type]
        rising = [(start + (1 - start) * (step + 1) / steps) * found[steps] for step in range(steps)]
        for step, (factor, expected) in enumerate(zip(found, rising, strict=False)):
            close = math.isclose(factor, expected, rel_tol=1e-9)
            assert close, f"{case.label}: the factor of step {step} of {steps} of a warm-up is {factor}, not {expected}"


def says_rightly_whether_it_needs_the_horizon(case: Case) -> None:
    """Where `needs_horizon` is false, a longer training begins with the same factors."""
    component: Schedule = case.component
    if not component.needs_horizon:
        message = f"{case.label}: needs_horizon is False, but a longer training begins with other factors"
        assert factors(component, STEPS, STEPS) == factors(component, STEPS, 2 * STEPS), message


def gives_weights_of_an_average(case: Case) -> None:
    """Every step's weight is None or in [0, 1], the same whenever it is asked, and not always None."""
    whole = Horizon(STEPS, STEPS_PER_EPOCH)
    found = [case.component.weight(step, whole) for step in range(STEPS)]
    wrong = [weight for weight in found if weight is not None and not 0 <= weight <= 1]
    assert not wrong, f"{case.label}: a weight is {wrong[0]!r}, expected None or a number in [0, 1]"
    assert any(weight is not None for weight in found), f"{case.label}: no step of {STEPS} enters the average"
    backward = [case.component.weight(step, whole) for step in reversed(range(STEPS))]
    assert backward[::-1] == found, f"{case.label}: weights depend on the order in which they are asked"


def averages_to_the_end(case: Case) -> None:
    """The last step of a training enters the average, however short the training is."""
    for steps, steps_per_epoch in ((STEPS, STEPS_PER_EPOCH), (STEPS, 1), (STEPS_PER_EPOCH, STEPS_PER_EPOCH), (1, 1)):
        weight = case.component.weight(steps - 1, Horizon(steps, steps_per_epoch))
        where = f"{case.label}: in a training of {steps} steps, {steps_per_epoch} an epoch,"
        assert weight is not None, f"{where} the last step does not enter the average"


def fills_from_its_generator_alone(case: Case) -> None:
    """It fills every element of a weight in place, from its generator and from nothing else."""
    for shape in ((8, 4), (4, 8), (6, 3, 3, 3), (6, 3, 5)):
        before = torch.random.get_rng_state()
        filled = []
        for seed in (0, 0):
            parameter = nn.Parameter(torch.full(shape, torch.nan))
            with torch.no_grad():
                case.component.fill(parameter, case.generator(seed))
            filled.append(parameter.detach())
        where = f"{case.label} of a weight {shape}"
        assert_finite(filled[0], f"{where}: not every element is filled")
        assert filled[0].shape == shape, f"{where}: the shape becomes {tuple(filled[0].shape)}"
        assert_equal(filled[1], filled[0], f"{where}: one seed gives different values")
        assert_equal(torch.random.get_rng_state(), before, f"{where}: uses torch's global stream")


LAWS = (
    *(
        Law(check, ("optimizer",))
        for check in (
            minimizes_a_quadratic,
            has_one_group_with_its_rate,
            moves_in_proportion_to_its_rate,
            decays_as_it_says,
            goes_on_from_its_state,
        )
    ),
    *(
        Law(check, ("schedule",))
        for check in (gives_finite_factors, is_a_pure_function, warms_up, says_rightly_whether_it_needs_the_horizon)
    ),
    *(Law(check, ("averager",)) for check in (gives_weights_of_an_average, averages_to_the_end)),
    Law(fills_from_its_generator_alone, ("initializer",)),
)
