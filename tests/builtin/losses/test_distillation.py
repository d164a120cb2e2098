import math

import pytest
import torch
from pydantic import ValidationError

from dlcli import PluginError, Task
from dlcli.builtin.losses.distillation import Distillation, pack
from dlcli.registry import Entry, Registry
from dlcli.testing.examples import sample_outputs
from dlcli.testing.law import Case
from dlcli.testing.variants import MEMBERS, assert_stacks

TASKS = list(Task)


def drawn(task, rows=8, seed=0, steps=None):
    """Student's outputs, teacher's outputs and the truth."""
    generator = torch.Generator().manual_seed(seed)
    student, truth = sample_outputs(task, rows, generator, steps=steps)
    return student, 3 * sample_outputs(task, rows, generator, steps=steps)[0], truth


def by_hand(task, student, teacher, truth, temperature, share):
    """One sample's loss from its definition, in Python's floats."""
    if task is Task.REGRESSION:
        parts = zip(student, teacher, truth, strict=True)
        return sum(share * (s - t) ** 2 + (1 - share) * (s - y) ** 2 for s, t, y in parts) / len(student)

    def softmax(logits, at):
        powers = [math.exp(logit / at) for logit in logits]
        return [power / sum(powers) for power in powers]

    def cross(p, q):
        return -sum(a * math.log(b) for a, b in zip(p, q, strict=True))

    if task is Task.MULTICLASS:
        soft = cross(softmax(teacher, temperature), softmax(student, temperature))
        hard = -math.log(softmax(student, 1)[truth])
    else:  # a label is two classes with logits 0 and z
        soft = hard = 0.0
        for s, t, y in zip(student, teacher, truth, strict=True):
            soft += cross(softmax([0, t], temperature), softmax([0, s], temperature)) / len(student)
            hard += -math.log(softmax([0, s], 1)[int(y)]) / len(student)
    return share * temperature**2 * soft + (1 - share) * hard


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.5), (2.0, 0.9), (5.0, 1.0), (0.5, 0.0)])
def test_values_are_their_definition_and_mean_is_their_mean(task, temperature, share):
    student, teacher, truth = drawn(task)
    loss = Distillation(task=task, temperature=temperature, teacher=share)
    values = loss.values(student, pack(teacher, truth, task))
    rows = zip(student.tolist(), teacher.tolist(), truth.tolist(), strict=True)
    expected = torch.tensor([by_hand(task, s, t, y, temperature, share) for s, t, y in rows])
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss.mean(student, pack(teacher, truth, task)), values.mean())
    assert loss.weights(truth) is None


@pytest.mark.parametrize("task", TASKS)
def test_the_truth_alone_is_the_tasks_own_loss(registry, task):
    names = {Task.MULTICLASS: "cross_entropy", Task.REGRESSION: "mse"}
    own = registry.create("loss", names.get(task, "binary_cross_entropy"))
    student, teacher, truth = drawn(task)
    loss = Distillation(task=task, teacher=0.0)
    torch.testing.assert_close(loss.values(student, pack(teacher, truth, task)), own.values(student, truth))


@pytest.mark.parametrize("task", TASKS)
def test_the_teachers_outputs_are_the_best_answer_to_the_teacher(task):
    _, teacher, truth = drawn(task)
    student = teacher.clone().requires_grad_()
    loss = Distillation(task=task, temperature=3.0, teacher=1.0)
    (gradient,) = torch.autograd.grad(loss.mean(student, pack(teacher, truth, task)), student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_positions_are_samples(task):
    student, teacher, truth = drawn(task, steps=3)
    loss = Distillation(task=task)
    target = pack(teacher, truth, task)
    values = loss.values(student, target)
    assert values.shape == (8, 3)
    flat = loss.values(student.flatten(0, 1), target.flatten(0, 1))
    torch.testing.assert_close(values.flatten(), flat)


@pytest.mark.parametrize("task", TASKS)
def test_it_stacks_with_other_temperatures_and_shares(task):
    registry = Registry()
    registry.extend([Entry("loss", "distillation", "dlcli.builtin.losses.distillation:Distillation", "dlcli")])

    class Made(Case):
        @property
        def component(self):
            return self.registry.create("loss", "distillation", task=task)

    case = Made(registry, "loss", "dlcli:distillation")
    students, targets = [], []
    for member in range(MEMBERS):
        student, teacher, truth = drawn(task, seed=member)
        students.append(student)
        targets.append(pack(teacher, truth, task))
    call = lambda loss, one, true: (loss.values(one, true), loss.mean(one, true))  # noqa: E731
    assert_stacks(case, call, torch.stack(students), torch.stack(targets))


@pytest.mark.parametrize("task", [task for task in Task if task.classifies])
def test_it_is_finite_for_outputs_far_out(task):
    _, teacher, truth = drawn(task)
    for sign in (1, -1):
        student = (sign * 100 * teacher).requires_grad_()
        values = Distillation(task=task).values(student, pack(100 * teacher, truth, task))
        (gradient,) = torch.autograd.grad(values.sum(), student)
        assert values.isfinite().all()
        assert gradient.isfinite().all()


def test_a_recipe_cannot_name_it(registry):
    with pytest.raises((PluginError, ValueError), match="unknown loss 'distillation'; .*there are binary_cross"):
        registry.create("loss", "distillation")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0.0}, "greater than 0"),
        ({"teacher": 1.1}, "less than or equal to 1"),
        ({"teacher": -0.1}, "greater than or equal to 0"),
    ],
)
def test_ranges(parameters, message):
    with pytest.raises(ValidationError, match=message):
        Distillation(task=Task.MULTICLASS, **parameters)
