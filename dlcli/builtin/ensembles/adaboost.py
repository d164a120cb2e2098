"""The strategy `adaboost`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Combination, Context, Ensemble, MemberSpecification, Plan, Task, outputs_from
from dlcli.builtin.ensembles.members import DEFAULT_MEMBERS, need_whole_rows, specifications

LEAST_WEIGHT = 2.0**-52
"""A row's share of the weight never falls below this, so that a weight can grow again (scikit-learn's rule)."""
LEAST_SHARE = 1e-7
"""Shares are kept this far from 0 and 1, so that no output is infinite."""


class AdaBoost(Ensemble):
    """Each round trains a network that looks harder at the rows that the last one got wrong; they vote by weight.

    SAMME for classes: with ε the weighted share of wrong training rows and K classes, a member's weight is
    α = η (ln((1 − ε)/ε) + ln(K − 1)), wrong rows' weights grow by exp α, and a class's probability is its share of the
    members' weights, clamped to [1e-7, 1 − 1e-7] (scikit-learn's is a softmax of the same shares, nearly uniform).
    R2 for regression with one target: with ℓ the loss of |ŷ − y| over its maximum, ε its weighted mean and
    β = ε/(1 − ε), α = −η ln β, weights shrink by β^(η(1 − ℓ)), and the output is the weighted median. Members, weights
    and classes are scikit-learn's. Boosting ends where a member is no better than chance (ε ≥ 1 − 1/K, R2: ε ≥ ½; it is
    left out), or makes no error (it enters with α = 1): members that fit all training rows leave nothing to boost.

    Args:
        method: `reweight` weighs rows in the loss; `resample` draws as many rows by weight, with replacement.
        learning_rate: η > 0, a factor on α.
        loss: R2's loss: `linear` ℓ = e, `square` ℓ = e², `exponential` ℓ = 1 − exp(−e), of the relative error e.

    Raises:
        ValueError: From the plan: multilabel, several targets, answers per position, or a first member that is no
            better than chance.

    Source: Zhu et al. 2009, "Multi-class AdaBoost"; Drucker 1997, "Improving regressors using boosting techniques".
    """

    name: ClassVar[str] = "adaboost"
    counts: ClassVar[str | None] = "rounds"
    extends: ClassVar[bool] = True
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.BINARY, Task.MULTICLASS, Task.REGRESSION})

    method: Literal["resample", "reweight"] = Field("reweight", description="weigh rows in the loss, or draw them")
    learning_rate: float = Field(1.0, gt=0, description="factor on every member's weight")
    loss: Literal["linear", "square", "exponential"] = Field("linear", description="loss of R2, for regression")

    def plan(self, context: Context) -> Plan:
        """Train a member a round on weighted rows, until there are enough or boosting ends."""
        target = context.target(context.training_rows)
        self._check(context, target)
        weights = torch.full((len(context.training_rows),), 1 / len(context.training_rows), dtype=torch.float64)
        members: list[str] = []
        votes: list[float] = []
        for specification in specifications(context, "round", context.members or DEFAULT_MEMBERS):
            weights = weights.clamp_min(LEAST_WEIGHT)
            (result,) = yield [self._weighted(specification, weights, context)]
            outputs = context.outputs_of(result.identity, context.training_rows)
            boost = self._boost(outputs, target, weights, context)
            if boost.chance:
                self._no_better(result.identity, boost.error, first=not members, context=context)
                break
            members.append(result.identity)
            votes.append(boost.vote)
            combination = self._of(members, votes)
            context.reached(combination)
            if boost.error <= 0:
                context.note(
                    f"adaboost ends with {result.identity}: it makes no error on its training rows, so there is "
                    "nothing left to boost; smaller networks, fewer epochs or stronger regularization would leave some"
                )
                break
            weights = boost.weights / boost.weights.sum()
        return self._of(members, votes)

    def _check(self, context: Context, target: Tensor) -> None:
        if context.task not in self.tasks:
            raise ValueError(
                "adaboost boosts one answer a row, but the task is multilabel; use gradient_boosting or bagging"
            )
        need_whole_rows("adaboost", context, target)
        if context.task is Task.REGRESSION and context.outputs != 1:
            raise ValueError(
                f"adaboost for regression (R2) takes one target, but there are {context.outputs}; choose one, "
                "or use gradient_boosting or bagging"
            )

    def _weighted(self, specification: MemberSpecification, weights: Tensor, context: Context) -> MemberSpecification:
        rows = context.training_rows
        if self.method == "resample":
            generator = context.generator(specification.identity)
            drawn = torch.multinomial(weights, len(rows), replacement=True, generator=generator)
            return replace(specification, training_rows=rows[drawn])
        row_weights = torch.ones(context.rows)
        row_weights[rows] = (weights / weights.mean()).float()
        return replace(specification, row_weights=row_weights)

    def _boost(self, outputs: Tensor, target: Tensor, weights: Tensor, context: Context) -> "_Boost":
        """Return the member's weight, and the rows' next ones."""
        if context.task is Task.REGRESSION:
            losses = self._losses((outputs - target).abs().double().squeeze(-1))
            error = float((weights * losses).sum() / weights.sum())
            if not 0 < error < 0.5:
                return _Boost(error, 1.0, weights, chance=error > 0)
            beta = error / (1 - error)
            shrunken = weights * beta ** ((1 - losses) * self.learning_rate)
            return _Boost(error, -self.learning_rate * math.log(beta), shrunken)
        classes = 2 if context.task is Task.BINARY else context.outputs
        said = (outputs > 0).squeeze(-1) if context.task is Task.BINARY else outputs.argmax(dim=-1)
        wrong = (said.long() != target.long().reshape(-1)).double()
        error = float((weights * wrong).sum() / weights.sum())
        if not 0 < error < 1 - 1 / classes:
            return _Boost(error, 1.0, weights, chance=error > 0)
        vote = self.learning_rate * (math.log((1 - error) / error) + math.log(classes - 1))
        return _Boost(error, vote, weights * torch.exp(vote * wrong))

    def _losses(self, errors: Tensor) -> Tensor:
        relative = errors / errors.max() if errors.max() > 0 else errors
        if self.loss == "square":
            return relative**2
        return 1 - torch.exp(-relative) if self.loss == "exponential" else relative

    def _no_better(self, identity: str, error: float, *, first: bool, context: Context) -> None:
        told = f"{identity} is no better than chance on the weighted training rows (error {error:.3g})"
        if first:
            raise ValueError(
                f"adaboost cannot start: {told}; train its members longer, or with another architecture or rate"
            )
        context.note(f"adaboost ends: {told}, and is left out")

    def _of(self, members: list[str], votes: list[float]) -> Combination:
        return Combination(tuple(members), {"weights": torch.tensor(votes, dtype=torch.float64)})

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the weighted vote, or the weighted median."""
        return WeightedMedian(state["weights"]) if task is Task.REGRESSION else WeightedVote(task, state["weights"])


@dataclass(frozen=True)
class _Boost:
    """What a round comes to: the weighted error, the member's weight, the rows' next weights, whether it is chance."""

    error: float
    vote: float
    weights: Tensor
    chance: bool = False


class WeightedVote(nn.Module):
    """Each class's share of the members' weights, as outputs; members vote with their likeliest class.

    Args:
        task: Binary or multiclass.
        weights: Weight of every member (M,), with a positive sum.

    Shape:
        Members' outputs (M, B, O) in; out come log-probabilities (B, O), for binary log-odds (B, 1).
    """

    def __init__(self, task: Task, weights: Tensor) -> None:
        super().__init__()
        self.task = task
        self.weights: Tensor
        self.register_buffer("weights", weights.double() / weights.double().sum())

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        binary = self.task is Task.BINARY
        said = (outputs > 0) if binary else nn.functional.one_hot(outputs.argmax(dim=-1), outputs.shape[-1])
        shares = self._share(said)
        if not binary:
            return outputs_from(shares, self.task).to(outputs.dtype)
        # From both sides, since 1 minus a share near 1 has no digits left in float32, in which others may compute.
        odds: Tensor = _log(shares) - _log(self._share(~said))
        return odds.to(outputs.dtype)

    def _share(self, said: Tensor) -> Tensor:
        share: Tensor = torch.tensordot(self.weights, said.double(), dims=([0], [0]))
        return share


def _log(share: Tensor) -> Tensor:
    return share.clamp(LEAST_SHARE, 1 - LEAST_SHARE).log()


class WeightedMedian(nn.Module):
    """The smallest output at which the weights of the outputs up to it reach half of all weight.

    Args:
        weights: Weight of every member (M,), ≥ 0 with a positive sum.

    Shape:
        Members' outputs (M, B, 1) in; out come (B, 1).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", weights.double())

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        sorted_outputs, order = outputs.topk(len(outputs), dim=0, largest=False)  # a sort that ONNX knows
        reached = self.weights[order].cumsum(dim=0)
        first = (reached >= 0.5 * reached[-1]).long().argmax(dim=0, keepdim=True)
        return sorted_outputs.gather(0, first).squeeze(0)
