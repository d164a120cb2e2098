"""Runs a strategy's plan over data in memory, with any learner in place of the engine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dlcli import (
    Architecture,
    Combination,
    Direction,
    Ensemble,
    Fold,
    MemberResult,
    MemberSpecification,
    Outcome,
    Task,
    derive,
    probabilities,
)
from dlcli.builtin.losses.binary_cross_entropy import BinaryCrossEntropy
from dlcli.builtin.losses.cross_entropy import CrossEntropy
from dlcli.builtin.losses.mse import MeanSquaredError

LOSSES = {
    Task.BINARY: BinaryCrossEntropy(),
    Task.MULTICLASS: CrossEntropy(),
    Task.MULTILABEL: BinaryCrossEntropy(),
    Task.REGRESSION: MeanSquaredError(),
}


class Trained(Protocol):
    """What a learner leaves: outputs on rows, given what it is fed on these rows."""

    def predict(self, rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor: ...


Train = Callable[[MemberSpecification], Trained | None]


@dataclass
class FakeContext:
    """Targets of all rows, split into training, validation and test; `models` are those that exist."""

    task: Task
    targets: Tensor
    outputs: int
    training_rows: Tensor
    validation_rows: Tensor | None = None
    members: int | None = None
    architectures: tuple[Architecture, ...] = (None,)
    columns: Mapping[str, int] = field(default_factory=dict)
    epochs: int = 3
    monitor: str = "val_loss"
    direction: Direction = "min"
    given: tuple[MemberResult, ...] = ()
    figure: Callable[[Tensor, Tensor], float] | None = None
    splits: tuple[Fold, ...] = ()
    seed: int = 0
    models: dict[str, Trained] = field(default_factory=dict)
    specifications: dict[str, MemberSpecification] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    curve: list[Combination] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.targets)

    def _allowed(self, rows: Tensor) -> None:
        known = self.training_rows
        if self.validation_rows is not None:
            known = torch.cat([known, self.validation_rows])
        assert torch.isin(rows, known).all(), "test rows are out of a strategy's reach"

    def target(self, rows: Tensor) -> Tensor:
        self._allowed(rows)
        return self.targets[rows]

    def folds(self, count: int) -> tuple[Fold, ...]:
        if self.splits:
            assert len(self.splits) == count
            return self.splits
        parts = [part.sort().values for part in self.training_rows.tensor_split(count)]
        return tuple(
            Fold(part, torch.cat(parts[:place] + parts[place + 1 :]), self.validation_rows)
            for place, part in enumerate(parts)
        )

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        self._allowed(rows)
        asked = self.specifications.get(identity)
        fed = {} if asked is None else {name: each[rows] for name, each in asked.fed.items()}
        return self.models[identity].predict(rows, fed)

    def score(self, output: Tensor, rows: Tensor) -> float:
        self._allowed(rows)
        if self.figure is not None:
            return self.figure(output, self.targets[rows])
        return float(LOSSES[self.task].mean(output, self.targets[rows]))

    def generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, purpose))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def reached(self, combination: Combination) -> None:
        self.curve.append(combination)


def result(identity: str) -> MemberResult:
    return MemberResult(identity, identity, 1, float("nan"))


def drive(strategy: Ensemble, context: FakeContext, train: Train) -> Outcome:
    """Run a plan to its end; a learner that returns None has failed, and is left out."""
    plan = strategy.plan(context)
    asked: Sequence[MemberSpecification] = ()
    results = None
    try:
        while True:
            asked = next(plan) if results is None else plan.send(results)
            results = []
            for each in asked:
                assert each.identity not in context.models, f"{each.identity} is asked for twice"
                trained = train(each)
                if trained is not None:
                    context.models[each.identity], context.specifications[each.identity] = trained, each
                    results.append(result(each.identity))
    except StopIteration as end:
        return end.value


def answers(strategy: Ensemble, combination: Combination, context: FakeContext, rows: Tensor) -> Tensor:
    """Return the combination's outputs on any rows, its members fed as at a later load."""
    combiner = strategy.combine(context.task, dict(combination.settings), combination.state).eval()
    outputs = torch.stack([_member(name, combination, context, rows) for name in combination.members])
    return combiner(outputs)


def _member(identity: str, combination: Combination, context: FakeContext, rows: Tensor) -> Tensor:
    def group(members: Sequence[str]) -> Tensor:
        each = [probabilities(_member(name, combination, context, rows), context.task) for name in members]
        return torch.stack(each).mean(dim=0)

    wanted = combination.fed.get(identity, {})
    fed = {name: torch.cat([group(members) for members in groups], dim=1) for name, groups in wanted.items()}
    return context.models[identity].predict(rows, fed)


class Fixed:
    """A model that answers from a table, one line a row."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def predict(self, rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor:
        return self.table[rows]


class Estimator:
    """A fitted scikit-learn estimator as a model: log-probabilities, log-odds or targets, in float64."""

    def __init__(self, estimator: object, inputs: Tensor, task: Task, columns: Tensor | None = None) -> None:
        self.estimator, self.inputs, self.task, self.columns = estimator, inputs, task, columns

    def predict(self, rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor:
        seen = features(self.inputs[rows], self.columns, fed.values())
        if self.task is Task.REGRESSION:
            return torch.from_numpy(self.estimator.predict(seen)).double().reshape(len(rows), -1)
        log = torch.from_numpy(self.estimator.predict_proba(seen)).clamp_min(1e-300).log()
        return log[:, 1:] - log[:, :1] if self.task is Task.BINARY else log


def features(inputs: Tensor, columns: Tensor | None, fed: Iterable[Tensor]) -> np.ndarray:
    own = inputs if columns is None else inputs[:, columns]
    return torch.cat([own, *(each.to(inputs.dtype) for each in fed)], dim=1).numpy()


def learner(make: Callable[[MemberSpecification], object], inputs: Tensor, context: FakeContext) -> Train:
    """Return a learner that fits what `make` gives, by the rows, weights, columns and answers of the specification."""

    def train(asked: MemberSpecification) -> Estimator:
        rows = context.training_rows if asked.training_rows is None else asked.training_rows
        own = inputs if asked.own_inputs else inputs[:, :0]
        columns = asked.input_columns.get("x")
        seen = features(own[rows], columns, [each[rows] for each in asked.fed.values()])
        target = context.targets[rows].numpy()
        target = target.ravel() if context.outputs == 1 else target
        if asked.offset is not None:
            target = target - asked.offset[rows].double().numpy().reshape(target.shape)
        weights = {}
        if asked.row_weights is not None:
            # As scikit-learn's boosting gives them: of sum 1, not of mean 1.
            weights["sample_weight"] = asked.row_weights[rows].double().numpy() / len(rows)
        return Estimator(make(asked).fit(seen, target, **weights), own, context.task, columns)

    return train
