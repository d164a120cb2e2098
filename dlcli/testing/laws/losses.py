"""Laws of losses."""

import torch
from torch import Tensor

from dlcli import Loss, Task
from dlcli.testing.examples import OUTPUTS, ideal_outputs, sample_outputs
from dlcli.testing.law import Case, Law, assert_close, assert_finite
from dlcli.testing.variants import MEMBERS, assert_stacks, variants

ROWS = 8
STEPS = 3
DESCENT = 200
"""Steps towards the best outputs, where a loss alone knows what each of them means."""


def _sample(loss: Loss, task: Task, generator: torch.Generator, steps: int | None = None) -> tuple[Tensor, Tensor]:
    """Draw outputs as the loss takes them, and a target."""
    output, target = sample_outputs(task, ROWS, generator, steps=steps)
    if loss.outputs_per_target > 1:
        output = torch.randn(*target.shape[:-1], loss.outputs_per_target * target.shape[-1], generator=generator)
    return output, target


def gives_one_value_a_sample(case: Case) -> None:
    """`values` is (B,), or (B, T) per position, float32 and finite."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        for steps, shape in ((None, (ROWS,)), (STEPS, (ROWS, STEPS))):
            output, target = _sample(loss, task, case.generator(), steps)
            values = loss.values(output, target)
            where = f"{case.label} for {task} of outputs {tuple(output.shape)}"
            assert values.shape == shape, f"{where}: values are {tuple(values.shape)}, expected {shape}"
            assert values.dtype == torch.float32, f"{where}: values are {values.dtype}, expected torch.float32"
            assert_finite(values, where)


def its_mean_is_the_mean_of_its_values(case: Case) -> None:
    """`mean` is a 0-d tensor equal to the mean of `values`."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        for steps in (None, STEPS):
            output, target = _sample(loss, task, case.generator(), steps)
            message = f"{case.label} for {task}: mean() is not the mean of values()"
            assert_close(loss.mean(output, target), loss.values(output, target).mean(), message)


def a_sample_of_weight_zero_does_not_count(case: Case) -> None:
    """Each value and each weight depends on its own row alone, so that a row of weight 0 changes nothing."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        output, target = _sample(loss, task, case.generator())
        message = f"{case.label} for {task}: a row's value depends on the rows beside it"
        assert_close(loss.values(output[:3], target[:3]), loss.values(output, target)[:3], message)
        some, every = loss.weights(target[:3]), loss.weights(target)
        assert (some is None) == (every is None), f"{case.label} for {task}: weights are given for some targets only"
        if some is not None and every is not None:
            assert_close(some, every[:3], f"{case.label} for {task}: a row's weight depends on the rows beside it")
            assert every.shape == (ROWS,), f"{case.label} for {task}: weights are {tuple(every.shape)}"
            assert bool((every >= 0).all()), f"{case.label} for {task}: weights are negative"


def is_finite_for_outputs_far_out(case: Case) -> None:
    """Values and gradients are finite for logits of 100, right or wrong, and for targets that are met exactly."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        _, target = sample_outputs(task, ROWS, case.generator())
        right = ideal_outputs(task, target, confidence=100.0)
        if loss.outputs_per_target > 1:
            right = 100 * _sample(loss, task, case.generator(1))[0].sign()
        for output in (right, -right) if task.classifies or loss.outputs_per_target > 1 else (right,):
            output = output.clone().requires_grad_()
            values = loss.values(output, target)
            (gradient,) = torch.autograd.grad(values.sum(), output)
            assert_finite(values, f"{case.label} for {task} at outputs of ±100 or exactly the target")
            assert_finite(gradient, f"gradient of {case.label} for {task} at outputs of ±100 or exactly the target")


def prefers_the_target(case: Case) -> None:
    """Outputs that are right cost less than outputs that are wrong; of several a target, those that cost less predict.

    Which outputs are right only the loss knows where it has several a target: there, following its gradient from random
    outputs must bring their prediction nearer to the target.
    """
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        start, target = _sample(loss, task, case.generator())
        if loss.outputs_per_target > 1:
            before, after = (
                (loss.prediction(o) - target).abs().mean() for o in (start, _descended(loss, start, target))
            )
            message = f"{case.label} for {task}: outputs that cost less predict worse, {after:g} from the target"
            assert after < before / 2, f"{message} on average, before {before:g}"
            continue
        right = ideal_outputs(task, target)
        wrong = -right if task.classifies else right + 1.0
        good, bad = float(loss.mean(right, target)), float(loss.mean(wrong, target))
        assert good < bad, f"{case.label} for {task}: right outputs cost {good:g}, wrong ones {bad:g}"


def _descended(loss: Loss, start: Tensor, target: Tensor) -> Tensor:
    output = start
    for step in range(DESCENT):
        output = output.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss.mean(output, target), output)
        output = output - 0.1 * (1 - step / DESCENT) * gradient.sign()
    return output.detach()


def predicts_each_target(case: Case) -> None:
    """`prediction` is one number a target, by the row's own outputs; `spread`, where it is given, one above 0."""
    loss: Loss = case.component
    several = loss.outputs_per_target > 1
    assert not several or loss.tasks == {Task.REGRESSION}, f"{case.label}: several outputs a target are for regression"
    for task in sorted(loss.tasks):
        for steps in (None, STEPS):
            output, target = _sample(loss, task, case.generator(), steps)
            said, spread = loss.prediction(output), loss.spread(output)
            shape = target.shape if several else output.shape
            where = f"{case.label} for {task} of outputs {tuple(output.shape)}"
            assert said.shape == shape, f"{where}: predictions are {tuple(said.shape)}, expected {tuple(shape)}"
            assert_close(loss.prediction(output[:3]), said[:3], f"{where}: a prediction depends on the rows beside it")
            if spread is not None:
                assert spread.shape == shape, f"{where}: spreads are {tuple(spread.shape)}, expected {tuple(shape)}"
                assert bool((spread > 0).all()), f"{where}: spreads are not above 0"


def answers_in_own_units(case: Case) -> None:
    """Outputs for scaled targets, put into own units by `own_units`, predict what was predicted in these units."""
    loss: Loss = case.component
    output, target = _sample(loss, Task.REGRESSION, case.generator())
    offset, scale = torch.linspace(-3, 50, target.shape[-1]), torch.linspace(0.1, 20, target.shape[-1])
    added, factor = loss.own_units(offset, scale)
    width = (output.shape[-1],)
    assert added.shape == factor.shape == width, f"{case.label}: own_units gives {tuple(added.shape)}, expected {width}"
    own = output * factor + added
    message = f"{case.label}: predictions in own units are not those of scaled targets, scaled back"
    assert_close(loss.prediction(own), loss.prediction(output) * scale + offset, message)
    before, after = loss.spread(output), loss.spread(own)
    if before is not None and after is not None:
        assert_close(after, before * scale, f"{case.label}: spreads in own units are not those of scaled targets")


def asks_the_same_of_scaled_targets(case: Case) -> None:
    """On a scaled target `for_scaled` pushes outputs as the loss pushes them in own units, but for one factor."""
    loss: Loss = case.component
    if Task.REGRESSION not in loss.tasks:
        return
    generator = case.generator()
    output, target = (torch.randn(ROWS, width, generator=generator) for width in (loss.outputs_per_target, 1))
    offset, scale = torch.tensor([5.0]), torch.tensor([30.0])
    added, factor = loss.own_units(offset, scale)
    for component in (loss, *(loss.with_per_member(numbers) for numbers in variants(case))):
        output = output.detach().requires_grad_()
        own = component.values(output * factor + added, target * scale + offset)
        scaled = component.for_scaled(scale).values(output, target)
        pushes = [torch.autograd.grad(values.sum(), output)[0] for values in (scaled, own)]
        ratio = pushes[0].norm() / pushes[1].norm().clamp(min=1e-30)
        message = f"{case.label}: on a scaled target it asks something else: divide what is in its unit in `for_scaled`"
        assert_close(pushes[0], pushes[1] * ratio, message)


def its_prediction_stacks(case: Case) -> None:
    """Predictions and spreads of members computed together under vmap are what each gets alone."""
    for task in sorted(case.component.tasks):
        output = torch.stack([_sample(case.component, task, case.generator(member))[0] for member in range(MEMBERS)])
        assert_stacks(case, lambda loss, own: loss.prediction(own), output)
        if case.component.spread(output) is not None:
            assert_stacks(case, lambda loss, own: loss.spread(own), output)


def gives_finite_gradients(case: Case) -> None:
    """Every output gets a finite gradient, and not all are zero."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        output, target = _sample(loss, task, case.generator())
        output.requires_grad_()
        (gradient,) = torch.autograd.grad(loss.mean(output, target), output)
        assert_finite(gradient, f"gradient of {case.label} for {task}")
        assert bool(gradient.any()), f"{case.label} for {task}: its gradient is zero everywhere"


def stacks(case: Case) -> None:
    """Members computed together under vmap get what each gets alone, with other per-member numbers too."""
    for task in sorted(case.component.tasks):
        drawn = [_sample(case.component, task, case.generator(member)) for member in range(MEMBERS)]
        output, target = (torch.stack(tensors) for tensors in zip(*drawn, strict=True))
        assert_stacks(case, lambda loss, one, true: (loss.values(one, true), loss.mean(one, true)), output, target)


def its_weights_stack(case: Case) -> None:
    """The weights of members computed together under vmap are what each gets alone."""
    for task in sorted(case.component.tasks):
        targets = [sample_outputs(task, ROWS, case.generator(member))[1] for member in range(MEMBERS)]
        if case.component.weights(targets[0]) is not None:
            assert_stacks(case, lambda loss, target: loss.weights(target), torch.stack(targets))


def fits_its_tasks(case: Case) -> None:
    """With its defaults it fits the data of each of its tasks."""
    for task in sorted(case.component.tasks):
        try:
            case.component.check(task, OUTPUTS[task])
        except ValueError as error:
            raise AssertionError(f"{case.label} for {task}: its defaults do not fit {OUTPUTS[task]} outputs") from error


LAWS = (
    *(
        Law(check, ("loss",))
        for check in (
            gives_one_value_a_sample,
            its_mean_is_the_mean_of_its_values,
            a_sample_of_weight_zero_does_not_count,
            is_finite_for_outputs_far_out,
            prefers_the_target,
            gives_finite_gradients,
            stacks,
            fits_its_tasks,
            predicts_each_target,
            asks_the_same_of_scaled_targets,
        )
    ),
    Law(answers_in_own_units, ("loss",), methods=("prediction", "own_units")),
    Law(its_prediction_stacks, ("loss",), methods=("prediction", "spread")),
    Law(its_weights_stack, ("loss",), methods=("weights",)),
)
