"""The strategy `top_k`."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Combination, Context, Ensemble, MeanOfMembers, MemberResult, Plan, Task
from dlcli.builtin.ensembles.averaging import best_first
from dlcli.builtin.ensembles.members import in_order


class TopK(Ensemble):
    """The mean of what the best k of the given models answer, such as the best trials of a search.

    Best by their score on validation rows; k is `ensemble.members`, by default all that are given. Probabilities are
    averaged, for regression outputs.

    Args:
        weights: `uniform`, or `score` for weights that fall with the distance from the best score:
            w_i ∝ exp(−|s_i − s_best| / d), d being the mean distance of the k − 1 others. That is the form of Akaike's
            weights with the distances in units of their own mean, so that losses and accuracies of any scale can be
            weighed; where all scores are equal, so are the weights.

    Raises:
        ValueError: From the plan: fewer models than k, or `score` and a model without one.

    Source: Caruana et al. 2004, "Ensemble selection from libraries of models" (its "best k" baseline); Burnham and
    Anderson 2002, "Model selection and multimodel inference", for Akaike's weights.
    """

    name: ClassVar[str] = "top_k"
    takes: ClassVar[Literal["trained", "given", "either"]] = "given"
    picks: ClassVar[bool] = True

    weights: Literal["uniform", "score"] = Field("uniform", description="equal weights, or weights by score")

    def plan(self, context: Context) -> Plan:
        """Take the best of the given models."""
        yield from ()  # a plan that trains nobody
        wanted = len(context.given) if context.members is None else context.members
        if wanted > len(context.given):
            raise ValueError(
                f"top_k is to combine the best {wanted} models, but {len(context.given)} are given; give more, or "
                "lower ensemble.members"
            )
        best = best_first(context.given, context.direction)[:wanted]
        for count in range(1, wanted):
            context.reached(self._of(best[:count]))
        combination = self._of(best)
        context.reached(combination)
        return combination

    def _of(self, best: Sequence[MemberResult]) -> Combination:
        members = in_order(member.identity for member in best)
        if self.weights == "uniform":
            return Combination(members)
        weights = dict(zip((member.identity for member in best), _by_score(best), strict=True))
        return Combination(members, {"weights": torch.tensor([weights[each] for each in members]).double()})

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean."""
        return MeanOfMembers(task, state.get("weights"))


def _by_score(best: Sequence[MemberResult]) -> list[float]:
    """Return weights of sum 1 of models, best first."""
    unknown = [member.identity for member in best if math.isnan(member.score)]
    if unknown:
        raise ValueError(
            f'top_k with weights = "score" needs every model\'s validation score, but {", ".join(unknown)} have none; '
            'use weights = "uniform"'
        )
    distances = [abs(member.score - best[0].score) for member in best]
    unit = sum(distances) / max(len(best) - 1, 1)
    sizes = [math.exp(-distance / unit) if unit else 1.0 for distance in distances]
    return [size / sum(sizes) for size in sizes]
