"""The strategy `swa`."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Context, Ensemble, KeptStates, MeanOfMembers, MemberSpecification, Plan, SingleMember, Task
from dlcli.builtin.averagers.swa import StochasticWeightAverage
from dlcli.builtin.schedules.swa import StochasticWeightAveraging


class WeightSwa(Ensemble):
    """One network whose weights are the mean of those at the end of its last epochs, at a rate that keeps it moving.

    The rate is the recipe's for the share `start` of the epochs, is then annealed to `final_factor` times that within
    `anneal_epochs`, and stays there (the schedule `swa` instead of the recipe's); each epoch after `start` enters the
    mean (the averager `swa`), whose batch normalization is re-estimated on training rows.

    Args:
        start: Share of the training after which epochs count, in [0, 1).
        anneal_epochs: Length of the anneal in epochs, ≥ 0; 0 goes to `final_factor` at once.
        final_factor: Factor on the learning rate after it, > 0.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".
    """

    name: ClassVar[str] = "swa"
    counts: ClassVar[str | None] = None

    start: float = Field(0.75, ge=0, lt=1, description="share of the training after which epochs count")
    anneal_epochs: float = Field(2.0, ge=0, description="length of the anneal, in epochs; 0 for none")
    final_factor: float = Field(0.5, gt=0, description="factor on the learning rate after the anneal")

    def plan(self, context: Context) -> Plan:
        """Train one network with its average."""
        schedule = StochasticWeightAveraging(
            start=self.start, anneal_epochs=self.anneal_epochs, final_factor=self.final_factor
        )
        averager = StochasticWeightAverage(start=self.start)
        wanted = MemberSpecification("network", schedule=schedule, averager=averager, keep=KeptStates("last"))
        (network,) = yield [wanted]
        return SingleMember(network.identity)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build what gives a single network's outputs back."""
        return MeanOfMembers(task)
