"""The strategy `snapshot`."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Context, Ensemble, KeptStates, MeanOfMembers, MemberResult, MemberSpecification, Plan, Task
from dlcli.builtin.ensembles.states import mean_of
from dlcli.builtin.schedules.cosine_restarts import CosineRestarts

DEFAULT_CYCLES = 5


class Snapshot(Ensemble):
    """The mean of what one network answers at the end of each cycle of one training.

    The training has `ensemble.members` cycles (5 by default) of ⌊train.epochs / cycles⌋ epochs; epochs that are left
    over are not used. In each cycle the rate falls along half a cosine and then starts anew (the schedule
    `cosine_restarts` instead of the recipe's), so that the network settles somewhere else. The optimizer starts anew
    too: once a network fits its training rows its gradients are small, and averages of the large squared gradients
    before would hold Adam's steps so short that every snapshot is the same. Each cycle has just a part of the epochs:
    at a rate that suits the whole training the first ones come out unfinished, hence the higher one. Probabilities are
    averaged, for regression outputs.

    Args:
        last: How many of the last snapshots are averaged, ≥ 1; all where it is not given.
        initial_factor: Factor on the learning rate at the start of a cycle, > 0; 3 by default, for want of a better
            rule the best of 1 to 10 for digits. Huang et al. take twice the usual rate.
        final_factor: Factor on the learning rate at the end of a cycle, in [0, 1].

    Raises:
        ValueError: From the plan: fewer epochs than cycles, or fewer cycles than `last`.

    Source: Huang et al. 2017, "Snapshot ensembles: train 1, get M for free".
    """

    name: ClassVar[str] = "snapshot"
    counts: ClassVar[str | None] = "snapshots"

    last: int | None = Field(None, ge=1, description="how many of the last snapshots are averaged; all by default")
    initial_factor: float = Field(3.0, gt=0, description="factor on the learning rate at the start of a cycle")
    final_factor: float = Field(0.0, ge=0, le=1, description="factor on the learning rate at the end of a cycle")

    def plan(self, context: Context) -> Plan:
        """Train one network in cycles."""
        cycles = context.members or DEFAULT_CYCLES
        period = self._period(cycles, context.epochs)
        schedule = CosineRestarts(
            period_epochs=period, initial_factor=self.initial_factor, final_factor=self.final_factor
        )
        results: list[MemberResult] = []
        for cycle in range(cycles):
            before = results[-1].state if results else None
            (result,) = yield [
                MemberSpecification(
                    f"cycle-{cycle}", initial_state=before, epochs=period, schedule=schedule, keep=KeptStates("last")
                )
            ]
            results.append(result)
        short = sum(result.epoch < period for result in results)
        if short:
            context.note(
                f"{short} of {cycles} cycles ended before their {period} epochs did, where the rate is lowest: a "
                "training in cycles must not be stopped early: take early_stopping out of the recipe"
            )
        return mean_of(context, results[-self.last :] if self.last else results)

    def _period(self, cycles: int, epochs: int) -> int:
        if cycles > epochs:
            raise ValueError(
                f"snapshot wants {cycles} cycles of at least one epoch, but train.epochs is {epochs}; raise it, or "
                "lower ensemble.members"
            )
        if self.last is not None and self.last > cycles:
            raise ValueError(
                f"snapshot is to average the last {self.last} of {cycles} snapshots; lower ensemble.strategy.last, or "
                "raise ensemble.members"
            )
        return epochs // cycles

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build the mean."""
        return MeanOfMembers(task)
