"""A plugin whose strategy does what it must not, or gives up, as its field `sin` says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Combination, Context, Ensemble, MeanOfMembers, MemberSpecification, Plan, Task, hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


class Curious(Ensemble):
    """A strategy that goes wrong."""

    name: ClassVar[str] = "curious"
    counts: ClassVar[str | None] = None

    sin: str = Field("", description="what it does")

    def plan(self, context: Context) -> Plan:
        """Sin."""
        one, rows = MemberSpecification("one"), torch.arange(context.rows)
        if self.sin == "nobody":
            yield []
        if self.sin == "twice in a round":
            yield [one, one]
        if self.sin == "path":
            yield [MemberSpecification("../one")]
        if self.sin == "trains on test rows":
            yield [MemberSpecification("one", training_rows=rows)]
        if self.sin == "chooses by test rows":
            yield [MemberSpecification("one", validation_rows=rows)]
        if self.sin == "breaks":
            raise KeyError("oops")
        yield [one]
        if self.sin == "twice":
            yield [one]
        if self.sin == "outputs":
            context.outputs_of("one", rows)
        if self.sin == "target":
            context.target(rows)
        if self.sin == "score":
            context.score(torch.zeros(len(rows), context.outputs), rows)
        if self.sin == "stranger":
            context.outputs_of("two", context.training_rows)
        if self.sin == "gives up":
            raise ValueError("it cannot be done; do something else")
        return Combination(("two",) if self.sin == "unknown member" else ("one",))

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean, or what cuts off the first class."""
        return Cut() if self.sin == "narrow" else MeanOfMembers(task)


class Cut(nn.Module):
    """Forgets a class."""

    def forward(self, outputs: Tensor) -> Tensor:
        """Return all but the first column of the first member."""
        return outputs[0][..., 1:]


@hookimpl
def register(registry: "Registrar") -> None:
    """Name it."""
    registry.add("ensemble", "curious", "curious:Curious")
