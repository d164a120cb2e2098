"""The ensembling strategy `median_vote`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from dlcli import Combination, Context, Ensemble, MemberSpecification, Plan, Task, outputs_from, probabilities

DEFAULT_MEMBERS = 5


class MedianVote(Ensemble):
    """Networks that differ in their initial values, or runs that exist; the median of their answers counts.

    For each class the median of the members' probabilities, scaled to sum to 1; for each label the median of its
    probabilities; for each regression target the median of what they say. Of an even number of members it is the mean
    of the two in the middle. So a member that has gone astray moves the answer far less than it moves a mean.

    Source: Tukey 1977, "Exploratory data analysis", for the median as what outliers do not move.
    """

    name: ClassVar[str] = "median_vote"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    extends: ClassVar[bool] = True

    def plan(self, context: Context) -> Plan:
        """Say whom to train, and get the results: how they are trained is dlcli's business."""
        results = context.given
        if not results:
            kinds, count = context.architectures, context.members or DEFAULT_MEMBERS
            wanted = [
                MemberSpecification(f"member-{place}", architecture=kinds[place % len(kinds)]) for place in range(count)
            ]
            results = tuple((yield wanted))
        members = tuple(result.identity for result in results)
        for count in range(1, len(members) + 1):
            context.reached(Combination(members[:count]))  # drawn as scores against members
        return Combination(members)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the median; it has neither settings nor tensors to remember."""
        return Median(task)


class Median(nn.Module):
    """The median of members' answers, as outputs that read as a network's.

    Args:
        task: How outputs are read.

    Shape:
        Members' outputs (M, B, …, O) in; out come (B, …, O).
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        answers = probabilities(outputs, self.task).topk(len(outputs), dim=0).values  # a sort that ONNX knows
        median = (answers[(len(answers) - 1) // 2] + answers[len(answers) // 2]) / 2
        if self.task is Task.MULTICLASS:
            # Where members contradict each other strongly, all of a row's medians may be 0.
            median = (median + 1e-12) / (median + 1e-12).sum(dim=-1, keepdim=True)
        return outputs_from(median, self.task)
