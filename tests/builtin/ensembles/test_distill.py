import pytest
import torch
from plans import Fixed
from scripted import ScriptedContext, model, nobody, run
from torch import nn

from dlcli import SingleMember, Task


def context_of(task, given=1):
    context = ScriptedContext(task, given=tuple(model(f"bag-{place:04}") for place in range(given)))
    context.training_rows = torch.tensor([7, 2, 11, 5])
    table = torch.randn(24, context.outputs, generator=torch.Generator().manual_seed(3))
    context.models = {"bag-0000": Fixed(table)}
    return context, table


@pytest.mark.parametrize("task", list(Task))
def test_the_target_is_the_teachers_answers_and_the_truth(registry, task):
    context, table = context_of(task)
    strategy = registry.create("ensemble", "distill", temperature=3.0, teacher=0.6)
    rounds, outcome = run(strategy, context, lambda wanted: [model(wanted.identity)])
    ((wanted,),) = rounds
    assert outcome == SingleMember("student")
    assert wanted.architecture is None
    loss = wanted.training_loss
    assert (loss.task, loss.temperature, loss.teacher) == (task, 3.0, 0.6)
    target, rows = wanted.training_target, context.training_rows
    assert len(target) == 24
    assert torch.equal(target[rows, : context.outputs], table[rows])
    truth = context.targets[rows].reshape(4, -1).float()
    assert torch.equal(target[rows, context.outputs :], truth)
    others = torch.tensor([row for row in range(24) if row not in rows.tolist()])
    assert not target[others].any()


@pytest.mark.parametrize(("factor", "epochs", "expected"), [(2.0, 30, 60), (1.0, 30, 30), (0.01, 30, 1), (0.5, 5, 2)])
def test_its_epochs_are_a_multiple_of_the_recipes(registry, factor, epochs, expected):
    context, _ = context_of(Task.MULTICLASS)
    context.epochs = epochs
    strategy = registry.create("ensemble", "distill", epochs_factor=factor)
    rounds, _ = run(strategy, context, lambda wanted: [model(wanted.identity)])
    assert rounds[0][0].epochs == expected


def test_a_student_of_its_own(registry):
    strategy = registry.create("ensemble", "distill", student={"name": "mlp", "hidden": [5]})
    rounds, _ = run(strategy, context_of(Task.MULTICLASS)[0], lambda wanted: [model(wanted.identity)])
    assert rounds[0][0].architecture == registry.create("architecture", "mlp", hidden=[5])


@pytest.mark.parametrize("task", list(Task))
def test_a_student_learns_its_teachers_answers(registry, task):
    """With the teacher's share at 1, a table of outputs that minimises the loss becomes the teacher's."""
    context, table = context_of(task)
    strategy = registry.create("ensemble", "distill", teacher=1.0)
    rounds, _ = run(strategy, context, lambda wanted: [model(wanted.identity)])
    wanted, rows = rounds[0][0], context.training_rows
    outputs = nn.Parameter(torch.zeros(4, context.outputs))
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        wanted.training_loss.mean(outputs, wanted.training_target[rows]).backward()
        optimizer.step()
    learnt, answers = outputs.detach(), table[rows]
    if task is Task.MULTICLASS:
        learnt, answers = learnt.softmax(-1), answers.softmax(-1)
    torch.testing.assert_close(learnt, answers, rtol=0, atol=1e-2)


@pytest.mark.parametrize(("count", "told"), [(0, "0 are given .none."), (2, "2 are given .bag-0000, bag-0001.")])
def test_one_teacher_exactly(registry, count, told):
    with pytest.raises(ValueError, match=f"distill learns from exactly one model, but {told}; combine them first"):
        run(registry.create("ensemble", "distill"), context_of(Task.MULTICLASS, count)[0], nobody)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0.0}, "greater than 0"),
        ({"teacher": 1.5}, "less than or equal to 1"),
        ({"epochs_factor": 0.0}, "greater than 0"),
    ],
)
def test_ranges(registry, parameters, message):
    with pytest.raises(ValueError, match=message):
        registry.create("ensemble", "distill", **parameters)
