"""Laws of losses."""

import torch

from dlcli import Loss
from dlcli.testing.examples import OUTPUTS, ideal_outputs, sample_outputs
from dlcli.testing.law import Case, Law, assert_close, assert_finite
from dlcli.testing.variants import MEMBERS, assert_stacks

ROWS = 8
STEPS = 3


def gives_one_value_a_sample(case: Case) -> None:
    """`values` is (B,), or (B, T) per position, float32 and finite."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        for steps, shape in ((None, (ROWS,)), (STEPS, (ROWS, STEPS))):
            output, target = sample_outputs(task, ROWS, case.generator(), steps=steps)
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
            output, target = sample_outputs(task, ROWS, case.generator(), steps=steps)
            message = f"{case.label} for {task}: mean() is not the mean of values()"
            assert_close(loss.mean(output, target), loss.values(output, target).mean(), message)


def a_sample_of_weight_zero_does_not_count(case: Case) -> None:
    """Each value and each weight depends on its own row alone, so that a row of weight 0 changes nothing."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        output, target = sample_outputs(task, ROWS, case.generator())
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
        for output in (right, -right) if task.classifies else (right,):
            output = output.clone().requires_grad_()
            values = loss.values(output, target)
            (gradient,) = torch.autograd.grad(values.sum(), output)
            assert_finite(values, f"{case.label} for {task} at outputs of ±100 or exactly the target")
            assert_finite(gradient, f"gradient of {case.label} for {task} at outputs of ±100 or exactly the target")


def prefers_the_target(case: Case) -> None:
    """Outputs that are right cost less than outputs that are wrong."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        _, target = sample_outputs(task, ROWS, case.generator())
        right = ideal_outputs(task, target)
        wrong = -right if task.classifies else right + 1.0
        good, bad = float(loss.mean(right, target)), float(loss.mean(wrong, target))
        assert good < bad, f"{case.label} for {task}: right outputs cost {good:g}, wrong ones {bad:g}"


def gives_finite_gradients(case: Case) -> None:
    """Every output gets a finite gradient, and not all are zero."""
    loss: Loss = case.component
    for task in sorted(loss.tasks):
        output, target = sample_outputs(task, ROWS, case.generator())
        output.requires_grad_()
        (gradient,) = torch.autograd.grad(loss.mean(output, target), output)
        assert_finite(gradient, f"gradient of {case.label} for {task}")
        assert bool(gradient.any()), f"{case.label} for {task}: its gradient is zero everywhere"


def stacks(case: Case) -> None:
    """Members computed together under vmap get what each gets alone, with other per-member numbers too."""
    for task in sorted(case.component.tasks):
        drawn = [sample_outputs(task, ROWS, case.generator(member)) for member in range(MEMBERS)]
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
        )
    ),
    Law(its_weights_stack, ("loss",), methods=("weights",)),
)
