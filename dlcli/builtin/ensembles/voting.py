"""The strategy `voting`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dlcli import Combination, Context, Ensemble, MeanOfMembers, Plan, Task
from dlcli.builtin.ensembles.members import DEFAULT_MEMBERS, names, need_whole_rows, specifications
from dlcli.builtin.ensembles.vote_weights import least_squares_weights, mixture_weights

LEAST_SHARE = 1e-7
"""Shares of votes are kept this far from 0 and 1, so that no output is infinite."""


class Voting(Ensemble):
    """Networks that differ in their initial values and row order, or runs that exist, with one vote each.

    Soft: the mean of the members' probabilities, of their outputs for regression; one member's outputs stay as they
    are, bit for bit. Hard: every member votes for its likeliest class (for each label: yes where its logit is above
    0); outputs are the log of each class's share of the votes, log-odds of the share of yes for binary and multilabel,
    shares clamped to [1e-7, 1 − 1e-7]. A tie goes to the lowest class, for a label to no. Weighted: as soft, with
    weights ≥ 0 of sum 1 that make the mean negative log-likelihood (for regression the squared error) on the
    validation rows least; figures on these rows are then too good.

    Args:
        vote: `soft`, `hard` or `weighted`.

    Raises:
        ValueError: From the plan: `hard` for regression; `weighted` without validation rows or per position.

    Source: Hansen and Salamon 1990, "Neural network ensembles"; Lakshminarayanan et al. 2017, "Deep ensembles".
    """

    name: ClassVar[str] = "voting"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    extends: ClassVar[bool] = True

    vote: Literal["soft", "hard", "weighted"] = Field(
        "soft", description="mean of probabilities, majority of classes, or mean weighted by validation rows"
    )

    def plan(self, context: Context) -> Plan:
        """Train the members, or take the given ones; weigh them where that is asked for."""
        self._check(context)
        results = context.given
        if not results:
            results = tuple((yield specifications(context, "member", context.members or DEFAULT_MEMBERS)))
        members = names(results)
        for count in range(1, len(members)):
            context.reached(self._of(members[:count], context))
        combination = self._of(members, context)
        context.reached(combination)
        return combination

    def _check(self, context: Context) -> None:
        if self.vote == "hard" and not context.task.classifies:
            raise ValueError(
                'voting with vote = "hard" counts classes, but the task is regression; use vote = "soft" or "weighted"'
            )
        if self.vote == "weighted":
            rows = context.validation_rows
            if rows is None:
                raise ValueError(
                    'voting with vote = "weighted" fits its weights on validation rows, and there are none; '
                    'give the data a validation part (data.split = { val = 0.2 }) or use vote = "soft"'
                )
            need_whole_rows('voting with vote = "weighted"', context, context.target(rows[:1]))

    def _of(self, members: tuple[str, ...], context: Context) -> Combination:
        settings = {"vote": self.vote}
        rows = context.validation_rows
        if self.vote != "weighted" or rows is None:
            return Combination(members, settings=settings)
        outputs = torch.stack([context.outputs_of(member, rows) for member in members]).double()
        fit = mixture_weights if context.task.classifies else least_squares_weights
        weights = fit(outputs, context.target(rows), context.task)
        return Combination(members, {"weights": weights}, settings, fitted_on_validation=True)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean, or the count of votes."""
        return Majority(task) if settings["vote"] == "hard" else MeanOfMembers(task, state.get("weights"))


class Majority(nn.Module):
    """Each class's share of the members' votes, as outputs.

    Args:
        task: How outputs are read; not regression.

    Shape:
        Members' outputs (M, B, …, O) in; out come (B, …, O): log-shares for multiclass, log-odds otherwise.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        if self.task is Task.MULTICLASS:
            votes = functional.one_hot(outputs.argmax(dim=-1), outputs.shape[-1]).to(outputs.dtype)
            return _log_share(votes)
        yes = (outputs > 0).to(outputs.dtype)
        return _log_share(yes) - _log_share(1 - yes)  # from both sides, so that a tie is exactly 0


def _log_share(votes: Tensor) -> Tensor:
    return votes.mean(dim=0).clamp(LEAST_SHARE, 1 - LEAST_SHARE).log()
