"""The strategy `ema`."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Context, Ensemble, KeptStates, MeanOfMembers, MemberSpecification, Plan, SingleMember, Task
from dlcli.builtin.averagers.ema import ExponentialMovingAverage


class WeightEma(Ensemble):
    """One network with an exponential moving average of its weights, kept during one training by the averager `ema`.

    The average after the last epoch is the answer; batch normalization is re-estimated on training rows.

    Args:
        decay: Largest share of the average that a step keeps, in [0, 1); before, it warms up as min(decay,
            (1 + t) / (10 + t)) after step t.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    name: ClassVar[str] = "ema"
    counts: ClassVar[str | None] = None

    decay: float = Field(0.999, ge=0, lt=1, description="share of the average that a step keeps, after the warm-up")

    def plan(self, context: Context) -> Plan:
        """Train one network with its average."""
        averager = ExponentialMovingAverage(decay=self.decay)
        (network,) = yield [MemberSpecification("network", averager=averager, keep=KeptStates("last"))]
        return SingleMember(network.identity)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build what gives a single network's outputs back."""
        return MeanOfMembers(task)
