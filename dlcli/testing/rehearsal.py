"""A plan run to its end on a dataset of a few rows whose members answer at random, but more right than wrong."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from dlcli import (
    Architecture,
    Combination,
    Direction,
    Ensemble,
    Fold,
    KeptStates,
    MemberResult,
    MemberSpecification,
    Outcome,
    Task,
    derive,
)
from dlcli.testing.examples import OUTPUTS, ideal_outputs, sample_outputs
from dlcli.testing.law import Case

TRAINING_ROWS = 24
VALIDATION_ROWS = 12
ROWS = 42
"""Rows in all; those behind the validation rows are for testing."""
EPOCHS = 20
ROUNDS = 100
GIVEN = 3

Mode = Literal["trained", "given"]


class RehearsalContext:
    """What a strategy may know, of made-up members; keeps what it asked for.

    Args:
        case: The strategy.
        task: The task.
        given: How many models other runs left; 0 where members are trained.
        validation: Whether there are validation rows.
        width: Width of an output; for regression it may be 1.
    """

    def __init__(self, case: Case, task: Task, given: int, validation: bool, width: int) -> None:
        self.task = task
        self.outputs = width
        self.rows = ROWS
        self.training_rows = torch.arange(TRAINING_ROWS)
        self.validation_rows = TRAINING_ROWS + torch.arange(VALIDATION_ROWS) if validation else None
        self.members: int | None = None
        self.architectures: tuple[Architecture, ...] = (_architecture(case),)
        self.columns: Mapping[str, int] = {"x": 5}
        self.epochs = EPOCHS
        self.monitor = "val_loss" if validation else "train_loss"
        self.direction: Direction = "min"
        self.reachable = TRAINING_ROWS + VALIDATION_ROWS * validation
        self.asked_beyond: set[int] = set()
        self.given: tuple[MemberResult, ...] = ()
        self._targets = sample_outputs(task, ROWS, case.generator())[1]
        if task is Task.REGRESSION:
            self._targets = self._targets[:, :width]
        if given:
            expands = case.component.expands_checkpoints
            self.given = tuple(
                self._result("run-0001" if expands else f"run-{place:04}", place, several=expands)
                for place in range(1, given + 1)
            )

    def target(self, rows: Tensor) -> Tensor:
        """Return targets."""
        return self._targets[self._seen(rows)]

    def folds(self, count: int) -> tuple[Fold, ...]:
        """Return folds over the training rows."""
        parts = [self.training_rows[fold::count] for fold in range(count)]
        rest = [self.training_rows[~torch.isin(self.training_rows, part)] for part in parts]
        return tuple(Fold(part, other, self.validation_rows) for part, other in zip(parts, rest, strict=True))

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs, a function of its identity."""
        generator = torch.Generator().manual_seed(derive(0, identity))
        noise = sample_outputs(self.task, ROWS, generator)[0][:, : self.outputs]
        return (noise + ideal_outputs(self.task, self._targets, confidence=1.0))[self._seen(rows)]

    def score(self, output: Tensor, rows: Tensor) -> float:
        """Return the mean squared distance from the best outputs."""
        return float((output - ideal_outputs(self.task, self._targets[self._seen(rows)])).square().mean())

    def score_of_weights(self, state: Mapping[str, Tensor], like: str) -> float:
        """Return the mean square of the weights."""
        return float(torch.stack([tensor.double().square().mean() for tensor in state.values()]).mean())

    def generator(self, purpose: str) -> torch.Generator:
        """Return a stream for a purpose."""
        return torch.Generator().manual_seed(derive(1, purpose))

    def note(self, text: str) -> None:
        """Tell nobody."""

    def reached(self, combination: Combination) -> None:
        """Show nothing."""

    def train(self, specification: MemberSpecification) -> list[MemberResult]:
        """Return one result a kept state."""
        epochs = specification.epochs or self.epochs
        several = specification.keep.which not in ("best", "last")
        kept = _kept(specification.keep, epochs)
        return [self._result(specification.identity, epoch, several=several) for epoch in kept]

    def _result(self, specification: str, epoch: int, *, several: bool) -> MemberResult:
        identity = f"{specification}-epoch-{epoch:04}" if several else specification
        weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(derive(2, identity)))
        score = 1.0 + 1.0 / epoch if self.validation_rows is not None else float("nan")
        state = {"head.weight": weight, "norm.num_batches_tracked": torch.tensor(epoch)}
        return MemberResult(identity, specification, epoch, score, "one structure", state)

    def _seen(self, rows: Tensor) -> Tensor:
        self.asked_beyond.update(row for row in rows.tolist() if row >= self.reachable)
        return rows


def _kept(keep: KeptStates, epochs: int) -> Sequence[int]:
    if keep.which == "every":
        return range(keep.count, epochs + 1, keep.count)
    return range(max(epochs - keep.count, 0) + 1, epochs + 1) if keep.which.endswith("_n") else [epochs]


def _architecture(case: Case) -> Architecture:
    made = case.registry.create("architecture", "dlcli:mlp")
    assert isinstance(made, Architecture)
    return made


def modes(component: Ensemble) -> tuple[Mode, ...]:
    """Return how a strategy comes by its members."""
    return ("trained", "given") if component.takes == "either" else (component.takes,)


Rehearsal = tuple[list[Sequence[MemberSpecification]], Outcome, RehearsalContext]


def rehearse(case: Case, task: Task, mode: Mode, *, validation: bool = True) -> Rehearsal:
    """Run a strategy to its end.

    Of models that exist it gets three, or one where it refuses three; of regression targets two, or one.

    Args:
        case: The strategy.
        task: The task.
        mode: Whether members are trained or given.
        validation: Whether there are validation rows.

    Returns:
        Its rounds, its outcome, and what it ran in.

    Raises:
        AssertionError: It does not end.
        ValueError: It refuses.
    """
    counts = (GIVEN, 1) if mode == "given" else (0,)
    widths = (OUTPUTS[task], 1) if task is Task.REGRESSION else (OUTPUTS[task],)
    refused = []
    for count, width in itertools.product(counts, widths):
        try:
            return _run(case, RehearsalContext(case, task, count, validation, width))
        except ValueError as error:
            refused.append(error)
    raise refused[0]


def _run(case: Case, context: RehearsalContext) -> Rehearsal:
    plan = case.component.plan(context)
    rounds: list[Sequence[MemberSpecification]] = []
    try:
        wanted = next(plan)
        while len(rounds) < ROUNDS:
            rounds.append(wanted)
            wanted = plan.send([result for each in wanted for result in context.train(each)])
    except StopIteration as end:
        return rounds, end.value, context
    raise AssertionError(f"{case.label}: the plan has not ended after {ROUNDS} rounds")
