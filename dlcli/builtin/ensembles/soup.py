"""The strategy `soup`."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from dlcli import AveragedWeights, Context, Ensemble, MeanOfMembers, MemberResult, MemberSpecification, Plan, Task
from dlcli.builtin.ensembles.averaging import average, best_first, need_one_structure, note_starts
from dlcli.builtin.ensembles.members import names

DEFAULT_MEMBERS = 8


class Soup(Ensemble):
    """One network whose weights are the mean of those networks that improve it: a greedy soup.

    Networks are tried by validation score, best first; one goes in where the mean with its weights is no worse on the
    validation rows than the mean without. Means are as in `average_weights`, batch normalization re-estimated each
    time. Without runs it trains one network for the share `shared` of the epochs, and from its best epoch
    `ensemble.members` networks (8 by default), which differ in their row order and other randomness, for the rest.

    Args:
        shared: Share of the epochs that the members have in common, in (0, 1).

    Raises:
        ValueError: From the plan: fewer than two epochs, or networks that are built or preprocessed differently.

    Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy
    without increasing inference time".
    """

    name: ClassVar[str] = "soup"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    picks: ClassVar[bool] = True
    needs_validation: ClassVar[bool] = True

    shared: float = Field(0.5, gt=0, lt=1, description="share of the epochs that the members have in common")

    def plan(self, context: Context) -> Plan:
        """Train members from one start, or take the given ones; then choose."""
        members = context.given
        if not members:
            (start,) = yield [MemberSpecification("start", epochs=self._shared_epochs(context))]
            members = tuple((yield self._members(context, start)))
        tried = best_first(members, context.direction)
        if context.given:
            tried = tried[: context.members]
        need_one_structure(self.name, tried)
        note_starts(context, tried)
        return _greedy(context, tried)

    def _shared_epochs(self, context: Context) -> int:
        if context.epochs < 2:
            raise ValueError(
                f"soup trains in two parts, but train.epochs is {context.epochs}; give it at least 2 epochs"
            )
        return min(max(round(self.shared * context.epochs), 1), context.epochs - 1)

    def _members(self, context: Context, start: MemberResult) -> list[MemberSpecification]:
        rest = context.epochs - self._shared_epochs(context)
        count = context.members or DEFAULT_MEMBERS
        return [
            MemberSpecification(f"member-{place}", epochs=rest, initial_state=start.state) for place in range(count)
        ]

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build what gives a single network's outputs back."""
        return MeanOfMembers(task)


def _greedy(context: Context, tried: list[MemberResult]) -> AveragedWeights:
    """Return the mean of those that make it no worse, tried in this order."""
    like = tried[0]
    soup, averaged = [like], dict(like.state)
    # Not the member's own score: its batch normalization is not re-estimated.
    score = context.score_of_weights(averaged, like.identity)
    for member in tried[1:]:
        candidate = average([each.state for each in (*soup, member)], like=like.state)
        reached = context.score_of_weights(candidate, like.identity)
        if _no_worse(reached, score, context):
            soup, averaged, score = [*soup, member], candidate, reached
    return AveragedWeights(averaged, like=like.identity, members=names(soup))


def _no_worse(score: float, than: float, context: Context) -> bool:
    if math.isnan(score) or math.isnan(than):
        return math.isnan(than)
    return score <= than if context.direction == "min" else score >= than
