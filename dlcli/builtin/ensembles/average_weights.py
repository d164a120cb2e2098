"""The strategy `average_weights`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from dlcli import AveragedWeights, Context, Ensemble, MeanOfMembers, Plan, Task
from dlcli.builtin.ensembles.averaging import average, best_first, need_one_structure, note_starts
from dlcli.builtin.ensembles.members import names
from dlcli.builtin.ensembles.states import DEFAULT_CHECKPOINTS, chosen, of_one_training, to_train


class AverageWeights(Ensemble):
    """One network whose weights are the mean of those of the last, or the best, n checkpoints of one training.

    The mean is uniform and computed in float64; tensors that are no floating-point numbers are those of the last (or
    best) checkpoint, and batch normalization is re-estimated on training rows. n is `ensemble.members`, 5 by default.
    Without a run it trains one network and takes n of its epochs; of a run that is given it takes n of the checkpoints
    that the run kept, and of several runs all, or the n best: their weights have a useful mean only where they were
    trained from the same start.

    Args:
        which: `last` for the last n epochs, `best` for those with the best monitored value; of several runs always
            the best.

    Raises:
        ValueError: From the plan: fewer epochs than n, or networks that are built or preprocessed differently.

    Source: Popel and Bojar 2018, "Training tips for the Transformer model"; Izmailov et al. 2018.
    """

    name: ClassVar[str] = "average_weights"
    counts: ClassVar[str | None] = "checkpoints"
    takes: ClassVar[Literal["trained", "given", "either"]] = "either"
    picks: ClassVar[bool] = True
    expands_checkpoints: ClassVar[bool] = True

    which: Literal["last", "best"] = Field("last", description="the last epochs, or those with the best value")

    def plan(self, context: Context) -> Plan:
        """Train one network, or take the checkpoints or runs that are given."""
        states = context.given or tuple((yield to_train(self.name, context, self.which)))
        if of_one_training(states):
            taken = chosen(context, states, self.which, context.members or DEFAULT_CHECKPOINTS)
        else:
            taken = best_first(states, context.direction)[: context.members]
        if context.members and len(taken) < context.members:
            context.note(f"there are {len(taken)} networks, not {context.members}: all of them are averaged")
        need_one_structure(self.name, taken)
        note_starts(context, taken)
        averaged = average([member.state for member in taken], like=taken[0].state)
        return AveragedWeights(averaged, like=taken[0].identity, members=names(taken))

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build what gives a single network's outputs back."""
        return MeanOfMembers(task)
