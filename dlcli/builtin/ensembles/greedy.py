"""The strategy `greedy`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Combination, Context, Ensemble, MeanOfMembers, Plan, Task, outputs_from, probabilities
from dlcli.builtin.ensembles.members import DEFAULT_MEMBERS, names, smaller_is_better, specifications


class Greedy(Ensemble):
    """Chooses members one by one, any of them again and again, each the one that helps the mean most.

    It starts from the best `initial` members by their own score. Every further step adds the member with which the
    mean of probabilities (of outputs for regression), a member counting as often as it was chosen, has the best score
    on the selection rows: the validation rows, for given models of folds out-of-fold. Ties prefer members already
    chosen, then the first by identity. What counts is the best step, the first of equals; as step 1 is the best
    member alone, the ensemble is never below it on these rows.

    Args:
        steps: Choices at most, `initial` included, ≥ 1.
        initial: How many of the best members it starts from, ≥ 1.

    Raises:
        ValueError: From the plan: no validation rows.

    Source: Caruana et al. 2004, "Ensemble selection from libraries of models".
    """

    name: ClassVar[str] = "greedy"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    needs_validation: ClassVar[bool] = True

    steps: int = Field(25, ge=1, description="choices at most, those to start from included")
    initial: int = Field(1, ge=1, description="how many of the best members it starts from")

    def plan(self, context: Context) -> Plan:
        """Train the members, or take the given ones; choose among them."""
        rows = context.validation_rows
        if rows is None:
            raise ValueError(
                "greedy chooses members by their scores on validation rows, and there are none; "
                "give the data a validation part (data.split = { val = 0.2 }) or use voting"
            )
        results = context.given
        if not results:
            results = tuple((yield specifications(context, "member", context.members or DEFAULT_MEMBERS)))
        selection = _Selection(names(results), rows, context)
        scores = []
        for step in range(self.steps):
            selection.add(selection.best_alone() if step < self.initial else selection.best_addition())
            combination = selection.combination(step + 1)
            context.reached(combination)
            scores.append(selection.score_of(combination))
        return selection.combination(scores.index(min(scores)) + 1)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean, members weighted by how often they were chosen."""
        return MeanOfMembers(task, state["weights"])


class _Selection:
    """The choices so far, as places among the members, and what each next one would score."""

    def __init__(self, members: Sequence[str], rows: Tensor, context: Context) -> None:
        self._members, self._rows, self._context = members, rows, context
        self._outputs = [context.outputs_of(member, rows) for member in members]
        self._answers = [probabilities(each.double(), context.task) for each in self._outputs]
        self._alone = [self._score(each) for each in self._outputs]
        self._chosen: list[int] = []
        self._sum = torch.zeros_like(self._answers[0])

    def _score(self, outputs: Tensor) -> float:
        return smaller_is_better(self._context.score(outputs, self._rows), self._context.direction)

    def add(self, place: int) -> None:
        self._chosen.append(place)
        self._sum += self._answers[place]

    def best_alone(self) -> int:
        """Return the best member that is not chosen yet; when all are, the best addition."""
        left = [place for place in range(len(self._members)) if place not in self._chosen]
        return min(left, key=lambda place: self._alone[place]) if left else self.best_addition()

    def best_addition(self) -> int:
        """Return the member that makes the mean best."""
        places = sorted(range(len(self._members)), key=lambda place: place not in self._chosen)
        return min(places, key=self._with)

    def _with(self, place: int) -> float:
        mean = (self._sum + self._answers[place]) / (len(self._chosen) + 1)
        return self._score(outputs_from(mean, self._context.task).to(self._outputs[place].dtype))

    def combination(self, step: int) -> Combination:
        """Return the combination of the first so many choices."""
        chosen = self._chosen[:step]
        places = sorted(set(chosen))
        weights = torch.tensor([float(chosen.count(place)) for place in places], dtype=torch.float64)
        return Combination(tuple(self._members[place] for place in places), {"weights": weights})

    def score_of(self, combination: Combination) -> float:
        """Return the score of a combination as it will answer, so that the cut is by what the user gets."""
        outputs = torch.stack([self._outputs[self._members.index(member)] for member in combination.members])
        return self._score(MeanOfMembers(self._context.task, combination.state["weights"])(outputs))
