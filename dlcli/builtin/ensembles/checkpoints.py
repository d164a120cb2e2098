"""The strategy `checkpoints`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from dlcli import Context, Ensemble, MeanOfMembers, Plan, Task
from dlcli.builtin.ensembles.members import names
from dlcli.builtin.ensembles.states import DEFAULT_CHECKPOINTS, chosen, mean_of, of_one_training, to_train


class Checkpoints(Ensemble):
    """The mean of what the last, or the best, n checkpoints of one training answer.

    Probabilities are averaged, for regression outputs. n is `ensemble.members`, 5 by default. Without a run it trains
    one network and takes n of its epochs; of a run that is given it takes n of the checkpoints that the run kept
    (`train.keep_checkpoints`), all of them where there are fewer.

    Args:
        which: `last` for the last n epochs, `best` for those with the best monitored value.

    Raises:
        ValueError: From the plan: fewer epochs than n, or several runs are given.

    Source: Sennrich et al. 2016, "Edinburgh neural machine translation systems for WMT 16".
    """

    name: ClassVar[str] = "checkpoints"
    counts: ClassVar[str | None] = "checkpoints"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    picks: ClassVar[bool] = True
    expands_checkpoints: ClassVar[bool] = True

    which: Literal["last", "best"] = Field("last", description="the last epochs, or those with the best value")

    def plan(self, context: Context) -> Plan:
        """Train one network, or take the checkpoints that are given."""
        states = context.given
        if not states:
            states = tuple((yield to_train(self.name, context, self.which)))
        elif not of_one_training(states):
            raise ValueError(
                f"checkpoints combines those of one run, but {len(states)} models are given: "
                f"{', '.join(names(states))}; give one run, or use voting to combine several"
            )
        taken = chosen(context, states, self.which, context.members or DEFAULT_CHECKPOINTS)
        if context.members and len(taken) < context.members:
            context.note(f"there are {len(taken)} checkpoints, not {context.members}: all of them are used")
        return mean_of(context, taken)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean."""
        return MeanOfMembers(task)
