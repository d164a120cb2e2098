"""Laws of ensembling strategies."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from dlcli import AveragedWeights, Combination, MemberResult, MemberSpecification, SingleMember, Task
from dlcli.testing.law import Case, Law, assert_close, assert_equal, assert_finite
from dlcli.testing.rehearsal import TRAINING_ROWS, Rehearsal, RehearsalContext, modes, rehearse


def rehearsals(case: Case, *, validation: bool = True) -> Iterator[tuple[str, Rehearsal]]:
    """Run a strategy for each of its tasks and in each of its modes; yield what to call it, and how it went."""
    for task in sorted(case.component.tasks):
        for mode in modes(case.component):
            members = "members that are trained" if mode == "trained" else "models that exist"
            yield f"{case.label} for {task} of {members}", rehearse(case, task, mode, validation=validation)


def known_members(
    rounds: Sequence[Sequence[MemberSpecification]], context: RehearsalContext
) -> dict[str, MemberResult]:
    """Return every model that a plan could name in the end."""
    trained = [result for wanted in rounds for each in wanted for result in context.train(each)]
    return {result.identity: result for result in (*context.given, *trained)}


def plans_members_of_training_rows(case: Case) -> None:
    """It ends, and its members have names of their own and train on training rows.

    What is trained on the answers of models that exist may use validation rows: these saw the training rows.
    """
    for where, (rounds, _, context) in rehearsals(case):
        names = [specification.identity for wanted in rounds for specification in wanted]
        assert len(set(names)) == len(names), f"{where}: two members have one identity: {names}"
        for each in (each for wanted in rounds for each in wanted):
            limits = context.reachable if context.given else TRAINING_ROWS, context.reachable
            for key, limit in zip(("training_rows", "validation_rows"), limits, strict=True):
                rows = getattr(each, key)
                inside = rows is None or bool((rows < limit).all())
                assert inside, f"{where}: the {key} of {each.identity} are more than its context's"


def asks_for_no_test_rows(case: Case) -> None:
    """It asks for targets, outputs and scores of training and validation rows alone."""
    for where, (_, _, context) in rehearsals(case):
        beyond = sorted(context.asked_beyond)
        assert not beyond, f"{where}: asks for rows {beyond}, which are neither training nor validation rows"


def answers_with_members_that_there_are(case: Case) -> None:
    """Its outcome is one of the three, of members that were trained or given, each once."""
    kinds = Combination | AveragedWeights | SingleMember
    for where, (rounds, outcome, context) in rehearsals(case):
        assert isinstance(outcome, kinds), f"{where}: the plan returns {outcome!r}, expected {kinds}"
        known = known_members(rounds, context)
        named = (outcome.identity,) if isinstance(outcome, SingleMember) else outcome.members
        if isinstance(outcome, AveragedWeights):
            named = (*named, outcome.like)
            like = known[outcome.like].state if outcome.like in known else {}
            shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in outcome.state.items()}
            expected = {name: (tensor.shape, tensor.dtype) for name, tensor in like.items()}
            assert shapes == expected, (
                f"{where}: the weights have the form {shapes}, those of {outcome.like} {expected}"
            )
        unknown = sorted({*named} - known.keys())
        assert not unknown, f"{where}: the outcome names {', '.join(unknown)}, but there are {', '.join(known)}"
        if isinstance(outcome, Combination):
            assert outcome.members, f"{where}: the combination has no members"
            once = len({*named}) == len(named)
            assert once, f"{where}: a member is in the combination twice: {named}"


def plans_the_same_again(case: Case) -> None:
    """Given the same context and results it asks for the same members and ends alike: resuming replays rounds."""
    for (where, first), (_, second) in zip(rehearsals(case), rehearsals(case), strict=True):
        names = [[[each.identity for each in wanted] for wanted in run[0]] for run in (first, second)]
        assert names[0] == names[1], f"{where}: a plan asked twice wants {names[0]}, then {names[1]}"
        pairs = zip((e for w in first[0] for e in w), (e for w in second[0] for e in w), strict=True)
        for one, two in pairs:
            _assert_same(vars(two), vars(one), f"{where}: {one.identity} differs when asked again")
        _assert_same(vars(second[1]), vars(first[1]), f"{where}: the outcome differs when asked again")


def plans_without_validation_rows(case: Case) -> None:
    """Unless `needs_validation` says otherwise, it comes to an end without validation rows; of models that are given
    only where it takes no others.
    """
    if not case.component.needs_validation:
        for task in sorted(case.component.tasks):
            try:
                rehearse(case, task, modes(case.component)[0], validation=False)
            except ValueError as error:
                raise AssertionError(
                    f"{case.label} for {task}: needs_validation is False, but without them it refuses: {error}"
                ) from error


def combines_into_outputs(case: Case) -> None:
    """A combination turns (M, B, O) into finite float32 outputs (B, O), for one row too, each row by itself."""
    for where, (_, outcome, context) in rehearsals(case):
        if isinstance(outcome, Combination):
            module, given = combiner(case, outcome, context.task), members_outputs(outcome, context)
            output = module(given)
            assert output.shape == given.shape[1:], f"{where}: combined into {tuple(output.shape)}"
            assert output.dtype == given.dtype, f"{where}: combined into {output.dtype}, expected {given.dtype}"
            assert_finite(output, where)
            assert_finite(module(100 * given), f"{where}, of members that are sure")
            assert_close(module(given[:, :1]), output[:1], f"{where}: a row's outputs depend on the rows beside it")


def combines_the_same_after_writing(case: Case) -> None:
    """Settings read back from JSON, and tensors from safetensors, build a combiner of the same outputs to the bit."""
    for where, (_, outcome, context) in rehearsals(case):
        if isinstance(outcome, Combination):
            given = members_outputs(outcome, context)
            before = combiner(case, outcome, context.task)(given)
            again = Combination(
                outcome.members,
                load(save(dict(outcome.state))),
                json.loads(json.dumps(outcome.settings, allow_nan=False)),
            )
            message = f"{where}: written and read, it combines into other outputs"
            assert_equal(combiner(case, again, context.task)(given), before, message)


def combiner(case: Case, combination: Combination, task: Task) -> nn.Module:
    """Return a combination's module, ready to be used."""
    module: nn.Module = case.component.combine(task, combination.settings, combination.state)
    return module.eval()


def members_outputs(combination: Combination, context: RehearsalContext) -> Tensor:
    """Return what its members say of the training rows (M, B, O)."""
    return torch.stack([context.outputs_of(name, context.training_rows) for name in combination.members])


def _assert_same(actual: Any, expected: Any, message: str) -> None:
    """Fail unless two values, or the tensors at any depth of them, are equal to the bit."""
    if isinstance(expected, Tensor):
        assert_equal(actual, expected, message)
    elif isinstance(expected, Mapping):
        assert actual.keys() == expected.keys(), f"{message}: {sorted(actual)}, then {sorted(expected)}"
        for key, value in expected.items():
            _assert_same(actual[key], value, f"{message}, in {key}")
    elif isinstance(expected, tuple | list):
        assert len(actual) == len(expected), f"{message}: {actual!r}, then {expected!r}"
        for one, two in zip(actual, expected, strict=True):
            _assert_same(one, two, message)
    elif hasattr(expected, "__dataclass_fields__"):
        _assert_same(vars(actual), vars(expected), message)
    else:
        assert actual == expected, f"{message}: {expected!r}, then {actual!r}"


LAWS = tuple(
    Law(check, ("ensemble",))
    for check in (
        plans_members_of_training_rows,
        asks_for_no_test_rows,
        answers_with_members_that_there_are,
        plans_the_same_again,
        plans_without_validation_rows,
        combines_into_outputs,
        combines_the_same_after_writing,
    )
)
