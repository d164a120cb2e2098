"""The strategy `gradient_boosting`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dlcli import Combination, Context, Ensemble, Plan, Task, outputs_from
from dlcli.builtin.ensembles.members import DEFAULT_MEMBERS, need_whole_rows, smaller_is_better, specifications


class GradientBoosting(Ensemble):
    """Each round trains a network on what the sum of the earlier ones leaves; the answer is the whole sum.

    F₀ is a constant: the log-prior of the classes, for binary and multilabel the log-odds of the share of ones, the
    mean for regression, all of the training rows. Round m trains z with the recipe's own loss on Fₘ₋₁ + z, Fₘ₋₁ held
    constant, and Fₘ = Fₘ₋₁ + shrinkage · z; for `mse` z fits the residuals. Outputs are F, read as a network's. The
    rounds after the best one on validation rows are cut off; without validation rows all count.

    Args:
        shrinkage: Share of a round's output that enters the sum, in (0, 1].
        patience: Rounds without a better score on validation rows after which boosting ends, ≥ 1.

    Raises:
        ValueError: From the plan: answers per position.

    Source: Friedman 2001, "Greedy function approximation: a gradient boosting machine".
    """

    name: ClassVar[str] = "gradient_boosting"
    counts: ClassVar[str | None] = "rounds"
    extends: ClassVar[bool] = True
    answers_alone: ClassVar[bool] = False

    shrinkage: float = Field(0.3, gt=0, le=1, description="share of a round's output that enters the sum")
    patience: int = Field(3, ge=1, description="rounds without a better score after which boosting ends")

    def plan(self, context: Context) -> Plan:
        """Train a member a round on the sum so far, until there are enough or the score no longer gets better."""
        target = context.target(context.training_rows)
        need_whole_rows(self.name, context, target)
        constant = initial_constant(target, context)
        total = constant.repeat(context.rows, 1)
        judged = context.validation_rows
        seen = context.training_rows if judged is None else torch.cat([context.training_rows, judged])
        members: list[str] = []
        scores: list[float] = []
        for specification in specifications(context, "round", context.members or DEFAULT_MEMBERS):
            offset = torch.zeros(context.rows, context.outputs)
            offset[seen] = total[seen].float()
            (result,) = yield [replace(specification, offset=offset)]
            total[seen] += self.shrinkage * context.outputs_of(result.identity, seen).double()
            members.append(result.identity)
            context.reached(self._of(members, constant))
            if judged is None:
                continue
            scores.append(smaller_is_better(context.score(total[judged].float(), judged), context.direction))
            best = scores.index(min(scores))
            if len(scores) - 1 - best >= self.patience:
                context.note(
                    f"gradient_boosting ends after {len(members)} rounds: no better {context.monitor} in the last "
                    f"{self.patience}; the first {best + 1} count"
                )
                break
        if scores:
            members = members[: scores.index(min(scores)) + 1]
        return self._of(members, constant)

    def _of(self, members: list[str], constant: Tensor) -> Combination:
        return Combination(tuple(members), {"constant": constant}, {"shrinkage": self.shrinkage})

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the sum."""
        shrinkage = settings["shrinkage"]
        if not isinstance(shrinkage, float | int):
            raise ValueError(f"shrinkage of a boosted sum is a number, got {shrinkage!r}; the model is damaged")
        return ShrunkenSum(state["constant"], float(shrinkage))


def initial_constant(target: Tensor, context: Context) -> Tensor:
    """Return the constant that fits targets best: log-prior, log-odds or mean (O,), float64, clamped as outputs are."""
    if context.task is Task.MULTICLASS:
        shares = functional.one_hot(target.long(), context.outputs).double().mean(dim=0)
    else:
        shares = target.double().mean(dim=0)
    return outputs_from(shares, context.task)


class ShrunkenSum(nn.Module):
    """A constant and the shrunken sum of members' outputs.

    Args:
        constant: (O,).
        shrinkage: Factor on every member's outputs.

    Shape:
        Members' outputs (M, B, O) in; out come (B, O).
    """

    def __init__(self, constant: Tensor, shrinkage: float) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.constant: Tensor
        self.register_buffer("constant", constant.double())

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        return (self.constant + self.shrinkage * outputs.double().sum(dim=0)).to(outputs.dtype)
