"""Laws of regularizers; each binds only those that override the method."""

from typing import Any, Literal

import torch
from torch import Tensor

from dlcli import EpochRecord, History, MixedBatch, Task, implements
from dlcli.testing.examples import sample_outputs
from dlcli.testing.law import Case, Law, assert_equal, assert_finite
from dlcli.testing.variants import MEMBERS, assert_stacks

BATCH_METHODS = ("batch", "mix")
TENSOR_METHODS = (*BATCH_METHODS, "parameters", "penalty", "activity", "gradients", "project")
METHODS = (*TENSOR_METHODS, "stop")
SHAPES = {"blocks.0.affine.weight": (7, 5), "blocks.1.affine.weight": (4, 7, 3, 3), "head.weight": (3, 7)}
ROWS = 6
COUNTING = torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0, 0.0])
Tensors = dict[str, Tensor]


def tensors(case: Case, seed: int = 0) -> Tensors:
    """Draw tensors like a network's selected parameters, or their gradients."""
    generator = case.generator(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def activations(case: Case, seed: int = 0) -> Tensors:
    """Draw what `activity` and `penalty` get of two modules."""
    if case.component.activations is None:
        return {}
    generator = case.generator(seed)
    shapes = {"blocks.0.activation": (ROWS, 4, 6, 6), "blocks.1.activation": (ROWS, 7)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def batch(case: Case, seed: int = 0, *, numbers: bool = False) -> tuple[tuple[Tensor, ...], Tensor]:
    """Draw a training batch of images, which every way to change a batch takes, with classes or numbers as targets."""
    generator = case.generator(seed)
    inputs = (torch.randn(ROWS, 1, 8, 8, generator=generator),)
    return inputs, sample_outputs(Task.REGRESSION if numbers else Task.MULTICLASS, ROWS, generator)[1]


def noise(case: Case, seed: int = 0) -> Tensors:
    """Draw one step's noise, given the shapes that the contract names."""
    shapes: dict[str, tuple[int, ...]] = {}
    if changes_batches(case):
        shapes["x"] = (ROWS, 1, 8, 8)
    if implements(case.component, "parameters"):
        shapes |= SHAPES
    drawn: Tensors = case.component.draw(shapes, case.generator(seed))
    return drawn


def changes_batches(case: Case) -> bool:
    """Return whether the component changes batches."""
    return any(implements(case.component, method) for method in BATCH_METHODS)


def flat(mixed: MixedBatch) -> tuple[Tensor, ...]:
    """Return the tensors of a mixed batch."""
    return (*mixed.inputs, *mixed.targets, *(() if mixed.weight is None else (mixed.weight,)))


def assert_like(case: Case, method: str, given: Tensors, result: Any) -> None:
    """Fail unless a method returned finite tensors of the same names, shapes and dtypes as it was given."""
    assert result.keys() == given.keys(), f"{case.label}: {method} returns {sorted(result)}, given {sorted(given)}"
    for name, value in given.items():
        where = f"{case.label}: {method} of {name}"
        assert result[name].shape == value.shape, f"{where} is {tuple(result[name].shape)}, given {tuple(value.shape)}"
        assert result[name].dtype == value.dtype, f"{where} is {result[name].dtype}, given {value.dtype}"
        assert_finite(result[name], where)


def assert_unchanged(case: Case, method: str, before: Tensors, after: Tensors) -> None:
    """Fail where a method changed what it was given."""
    for name, value in before.items():
        assert_equal(after[name], value, f"{case.label}: {method} changes {name} in place; return new tensors")


def does_something(case: Case) -> None:
    """It overrides at least one of the methods of its kind."""
    done = [method for method in METHODS if implements(case.component, method)]
    assert done, f"{case.label} overrides none of {', '.join(METHODS)}, so it does nothing"


def draws_from_its_generator_alone(case: Case) -> None:
    """`draw` depends on the generator's state and on nothing else."""
    state = torch.random.get_rng_state()
    first, second = noise(case), noise(case)
    assert_equal(torch.random.get_rng_state(), state, f"{case.label}: draw uses torch's global stream")
    assert_unchanged(case, "draw, given one seed twice,", first, second)
    assert first.keys() == second.keys(), f"{case.label}: draw gives other names the second time"


def changes_a_batch_into_a_batch(case: Case) -> None:
    """`batch` and `mix` keep shapes and dtypes, give one target or two with a weight, and change nothing given."""
    for numbers in (False, True):
        _changes_a_batch(case, *batch(case, numbers=numbers))


def _changes_a_batch(case: Case, inputs: tuple[Tensor, ...], target: Tensor) -> None:
    before = (inputs[0].clone(), target.clone())
    mixed = case.component.mix(inputs, target, torch.ones(ROWS), noise(case))
    assert_like(case, "batch", {"input": inputs[0]}, {"input": mixed.inputs[0]})
    for given in mixed.targets:
        assert_like(case, "batch", {"target": target}, {"target": given})
    assert len(mixed.targets) == (1 if mixed.weight is None else 2), (
        f"{case.label}: batch returns {len(mixed.targets)} targets {'without' if mixed.weight is None else 'with'} a "
        "weight; return two with a weight, or one without"
    )
    if mixed.weight is not None:
        right = mixed.weight.shape in ((), (ROWS,)) and bool(((mixed.weight >= 0) & (mixed.weight <= 1)).all())
        assert right, f"{case.label}: batch returns the weight {mixed.weight}, expected 0-d or ({ROWS},), in [0, 1]"
    for was, value in zip(before, (inputs[0], target), strict=True):
        assert_equal(value, was, f"{case.label}: batch changes what it was given in place; return new tensors")


def learns_nothing_from_rows_that_do_not_count(case: Case) -> None:
    """Whatever is in the rows of a batch that count 0, those that count come out the same: use `mix`, not `batch`."""
    # An order of rows may be lucky.
    for seed in range(4):
        (images,), target = batch(case, seed, numbers=seed % 2 == 0)
        held_out, own = COUNTING == 0, COUNTING > 0
        other_images, other_target = images.clone(), target.clone()
        other_images[held_out], other_target[held_out] = torch.inf, 0
        first, second = (
            case.component.mix((x,), y, COUNTING, noise(case, seed))
            for x, y in ((images, target), (other_images, other_target))
        )
        for one, other in zip(flat(first), flat(second), strict=True):
            rows = (one, other) if one.ndim == 0 else (one[own], other[own])
            assert_equal(*rows, f"{case.label}: rows of a batch that count 0 come into rows that count; see `mix`")


def keeps_parameters_like_parameters(case: Case) -> None:
    """`parameters` returns the same names, shapes and dtypes, finite, and lets gradients through."""
    given = {name: value.requires_grad_() for name, value in tensors(case).items()}
    before = {name: value.detach().clone() for name, value in given.items()}
    result = case.component.parameters(given, noise(case))
    assert_like(case, "parameters", given, result)
    gradients = torch.autograd.grad(sum(value.sum() for value in result.values()), list(given.values()))
    for gradient in gradients:
        assert_finite(gradient, f"{case.label}: gradient through parameters")
    assert_unchanged(case, "parameters", before, {name: value.detach() for name, value in given.items()})


def penalty_is_a_finite_number(case: Case) -> None:
    """`penalty` is a finite 0-d tensor with finite gradients, where everything is zero too."""
    for scale in (1.0, 0.0):
        given = {name: (value * scale).requires_grad_() for name, value in tensors(case).items()}
        seen = {name: (value * scale).requires_grad_() for name, value in activations(case).items()}
        value = case.component.penalty(given, seen)
        assert value.shape == (), f"{case.label}: the penalty is {tuple(value.shape)}, expected a 0-d tensor"
        assert_finite(value, f"{case.label}: penalty")
        gradients = torch.autograd.grad(value, [*given.values(), *seen.values()], allow_unused=True)
        found = [gradient for gradient in gradients if gradient is not None]
        assert found, f"{case.label}: the penalty depends neither on parameters nor on activations"
        for gradient in found:
            assert_finite(gradient, f"{case.label}: gradient of the penalty at {'zero' if not scale else 'random'}")


def activity_is_a_number_of_each_row(case: Case) -> None:
    """`activity` is finite, (B,), with finite gradients, where all is zero too; each row has its own alone."""
    for scale in (1.0, 0.0):
        seen = {name: (value * scale).requires_grad_() for name, value in activations(case).items()}
        values = case.component.activity(seen)
        shape = tuple(values.shape)
        assert shape == (ROWS,), f"{case.label}: the activity is {shape}, expected one number a row, ({ROWS},)"
        assert_finite(values, f"{case.label}: activity")
        for gradient in torch.autograd.grad(values[0], list(seen.values()), materialize_grads=True):
            assert_finite(gradient, f"{case.label}: gradient of the activity")
            assert not gradient[1:].any(), f"{case.label}: the activity of a row depends on other rows"


def keeps_gradients_like_gradients(case: Case) -> None:
    """`gradients` returns the same names, shapes and dtypes, finite for zero gradients too, and changes nothing."""
    for scale in (1.0, 0.0):
        given, parameters = {name: value * scale for name, value in tensors(case, 1).items()}, tensors(case)
        before = {name: value.clone() for name, value in given.items()}
        assert_like(case, "gradients", given, case.component.gradients(given, parameters))
        assert_unchanged(case, "gradients", before, given)
        assert_unchanged(case, "gradients", tensors(case), parameters)


def projects_parameters_onto_parameters(case: Case) -> None:
    """`project` returns the same names, shapes and dtypes, finite for zero parameters too, and changes nothing."""
    for scale in (1.0, 0.0):
        given = {name: value * scale for name, value in tensors(case).items()}
        before = {name: value.clone() for name, value in given.items()}
        assert_like(case, "project", given, case.component.project(given))
        assert_unchanged(case, "project", before, given)


def stops_by_the_history_alone(case: Case) -> None:
    """`stop` gives None or a reason, the same for one history whenever it is asked, with NaN scores too."""
    directions: tuple[Literal["min", "max"], ...] = ("min", "max")
    for direction in directions:
        for scores in ([1.0, 0.5] + 30 * [0.75], [float("nan")] * 3, [0.5, float("nan"), 0.25]):
            records = tuple(
                EpochRecord(epoch, 1e-3, {"train_loss": score, "val_loss": score}, 0.1)
                for epoch, score in enumerate(scores, 1)
            )
            histories = [History(records[:end], "val_loss", direction) for end in range(1, len(records) + 1)]
            forward = [case.component.stop(history) for history in histories]
            backward = [case.component.stop(history) for history in reversed(histories)]
            assert forward == backward[::-1], f"{case.label}: stop depends on when it is asked, not on the history"
            wrong = [reason for reason in forward if not (reason is None or isinstance(reason, str) and reason)]
            assert not wrong, f"{case.label}: stop returns {wrong[0]!r}, expected a reason or None"


def stacks(case: Case) -> None:
    """Members computed together under vmap get what each gets alone, with other per-member numbers too."""

    def stacked(draw: Any) -> Any:
        members = [draw(case, seed) for seed in range(MEMBERS)]
        return {name: torch.stack([member[name] for member in members]) for name in members[0]}

    parameters, gradients, drawn, seen = map(stacked, (tensors, lambda c, s: tensors(c, s + 9), noise, activations))
    batches = [batch(case, seed) for seed in range(MEMBERS)]
    inputs, targets = torch.stack([one[0][0] for one in batches]), torch.stack([one[1] for one in batches])
    weights = COUNTING.expand(MEMBERS, ROWS)
    mixing = (lambda c, x, y, w, n: flat(c.mix((x,), y, w, n)), inputs, targets, weights, drawn)
    calls: dict[str, tuple[Any, ...]] = {
        "batch": mixing,
        "mix": mixing,
        "parameters": (lambda c, p, n: c.parameters(p, n), parameters, drawn),
        "penalty": (lambda c, p, a: c.penalty(p, a), parameters, seen),
        "activity": (lambda c, a: c.activity(a), seen),
        "gradients": (lambda c, g, p: c.gradients(g, p), gradients, parameters),
        "project": (lambda c, p: c.project(p), parameters),
    }
    for method, (call, *arguments) in calls.items():
        if implements(case.component, method):
            assert_stacks(case, call, *arguments)


LAWS = (
    Law(does_something, ("regularizer",)),
    Law(stacks, ("regularizer",), methods=TENSOR_METHODS),
    Law(draws_from_its_generator_alone, ("regularizer",), methods=("draw",)),
    Law(changes_a_batch_into_a_batch, ("regularizer",), methods=BATCH_METHODS),
    Law(learns_nothing_from_rows_that_do_not_count, ("regularizer",), methods=BATCH_METHODS),
    Law(keeps_parameters_like_parameters, ("regularizer",), methods=("parameters",)),
    Law(penalty_is_a_finite_number, ("regularizer",), methods=("penalty",)),
    Law(activity_is_a_number_of_each_row, ("regularizer",), methods=("activity",)),
    Law(keeps_gradients_like_gradients, ("regularizer",), methods=("gradients",)),
    Law(projects_parameters_onto_parameters, ("regularizer",), methods=("project",)),
    Law(stops_by_the_history_alone, ("regularizer",), methods=("stop",)),
)
