"""The strategy `fast_geometric`."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from dlcli import Context, Ensemble, KeptStates, MeanOfMembers, MemberSpecification, Plan, Task
from dlcli.builtin.ensembles.states import mean_of, need_a_cycle
from dlcli.builtin.schedules.cyclic import Cyclic


class FastGeometric(Ensemble):
    """The mean of what one network answers at the low points of short cycles that follow an ordinary training.

    For the share `pretrain` of the epochs it trains with the recipe's schedule; from the last state of that, in cycles
    of `cycle_epochs` in which the rate rises to `high` times the recipe's and falls to `low` times it (the schedule
    `cyclic`), at whose ends the states are taken. There are `ensemble.members` cycles, or as many as fit. They are
    close to each other, yet differ. Probabilities are averaged, for regression outputs.

    Args:
        pretrain: Share of the epochs before the cycles, in (0, 1).
        cycle_epochs: Length of a cycle in epochs, ≥ 1.
        high: Factor on the learning rate in the middle of a cycle, > 0.
        low: Factor on the learning rate at the end of a cycle, > 0, at most `high`.

    Raises:
        ValueError: `low` is above `high`. From the plan: the epochs are too few for the cycles.

    Source: Garipov et al. 2018, "Loss surfaces, mode connectivity, and fast ensembling of DNNs".
    """

    name: ClassVar[str] = "fast_geometric"
    counts: ClassVar[str | None] = "cycles"

    pretrain: float = Field(0.7, gt=0, lt=1, description="share of the epochs before the cycles")
    cycle_epochs: int = Field(2, ge=1, description="length of a cycle, in epochs")
    high: float = Field(0.5, gt=0, description="factor on the learning rate in the middle of a cycle")
    low: float = Field(0.01, gt=0, description="factor on the learning rate at the end of a cycle")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, above high = {self.high:g}: give a low of at most high")
        return self

    def plan(self, context: Context) -> Plan:
        """Train one network, then go on from it in cycles."""
        first = max(round(self.pretrain * context.epochs), 1)
        cycles = self._cycles(context, context.epochs - first)
        (start,) = yield [MemberSpecification("start", epochs=first, keep=KeptStates("last"))]
        results = yield [
            MemberSpecification(
                "network",
                initial_state=start.state,
                epochs=cycles * self.cycle_epochs,
                schedule=Cyclic(cycle_epochs=self.cycle_epochs, high=self.high, low=self.low),
                keep=KeptStates("every", self.cycle_epochs),
            )
        ]
        need_a_cycle(context, results, cycles, self.cycle_epochs)
        return mean_of(context, results)

    def _cycles(self, context: Context, left: int) -> int:
        wanted, fit = context.members or 1, left // self.cycle_epochs
        if fit < wanted:
            raise ValueError(
                f"fast_geometric wants {wanted} cycles of {self.cycle_epochs} epochs, but of {context.epochs} epochs "
                f"{left} are left for them; raise train.epochs, or lower pretrain, cycle_epochs or ensemble.members"
            )
        return context.members or fit

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean."""
        return MeanOfMembers(task)
