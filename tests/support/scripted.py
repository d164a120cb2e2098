"""Runs a strategy's plan with results that a test writes down."""

from collections.abc import Callable, Mapping, Sequence

import torch
from plans import FakeContext
from torch import Tensor

from dlcli import Ensemble, MemberResult, MemberSpecification, Outcome, Task


class ScriptedContext(FakeContext):
    """Twelve rows to train on, six to validate with, six for testing; weights are scored by a function of a test."""

    def __init__(
        self,
        task: Task = Task.MULTICLASS,
        *,
        weigh: Callable[[Mapping[str, Tensor]], float] | None = None,
        **what: object,
    ) -> None:
        outputs = {Task.MULTICLASS: 3, Task.BINARY: 1}.get(task, 2)
        generator = torch.Generator().manual_seed(0)
        targets = torch.randint(2, (24,) if task is Task.MULTICLASS else (24, outputs), generator=generator)
        targets = targets if task is Task.MULTICLASS else targets.float()
        super().__init__(task, targets, outputs, torch.arange(12), torch.arange(12, 18), **what)  # type: ignore[arg-type]
        self.weigh = weigh
        self.weighed: list[tuple[Mapping[str, Tensor], str]] = []

    def score_of_weights(self, state: Mapping[str, Tensor], like: str) -> float:
        assert self.weigh is not None
        self.weighed.append((state, like))
        return self.weigh(state)


def model(
    identity: str,
    epoch: int = 1,
    score: float = 1.0,
    *,
    specification: str | None = None,
    weight: float | Tensor = 0.0,
    structure: str = "same",
    start: str = "",
) -> MemberResult:
    """Return a model with one weight, and a count that is its epoch."""
    state = {"weight": torch.as_tensor(weight).reshape(-1), "count": torch.tensor(epoch)}
    return MemberResult(identity, specification or identity, epoch, score, structure, state, start)


def states_of(identity: str, epochs: Sequence[int], scores: Sequence[float] = ()) -> list[MemberResult]:
    """Return kept states of one training, whose weight is the epoch."""
    found = scores or [1 / epoch for epoch in epochs]
    return [
        model(f"{identity}-epoch-{epoch:04}", epoch, score, specification=identity, weight=float(epoch))
        for epoch, score in zip(epochs, found, strict=True)
    ]


def run(
    strategy: Ensemble, context: FakeContext, train: Callable[[MemberSpecification], Sequence[MemberResult]]
) -> tuple[list[list[MemberSpecification]], Outcome]:
    """Run a plan to its end; return its rounds and its outcome."""
    plan = strategy.plan(context)
    rounds: list[list[MemberSpecification]] = []
    try:
        wanted = next(plan)
        while True:
            rounds.append(list(wanted))
            wanted = plan.send([result for each in wanted for result in train(each)])
    except StopIteration as end:
        return rounds, end.value


def nobody(specification: MemberSpecification) -> list[MemberResult]:
    """Fail where anybody is trained."""
    raise AssertionError(f"{specification.identity} is to be trained")
