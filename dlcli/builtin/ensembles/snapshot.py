"""The strategy `snapshot`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
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
    before would hold Adam's steps so short that every snapshot is the same. For the same reason the weights are shrunk
    and disturbed a little, which Huang et al. do not; shrink = 1 and perturb = 0 leave it out. Each cycle has just a
    part of the epochs: at a rate that suits the whole training the first ones come out unfinished, hence the higher
    one. Probabilities are averaged, for regression outputs.

    Args:
        last: How many of the last snapshots are averaged, ≥ 1; all where it is not given.
        initial_factor: Factor on the learning rate at the start of a cycle, > 0; 4 by default, which is good for
            digits. Huang et al. take twice the usual rate.
        final_factor: Factor on the learning rate at the end of a cycle, in [0, 1].
        shrink: Factor on the weights (tensors of two dimensions or more) at the start of every cycle but the first, in
            (0, 1]; 1 leaves them as they are.
        perturb: Standard deviation of the normal noise that is then added to a tensor, as a multiple of the tensor's
            own, ≥ 0; 0 adds none.

    Raises:
        ValueError: From the plan: fewer epochs than cycles, or fewer cycles than `last`.

    Source: Huang et al. 2017, "Snapshot ensembles: train 1, get M for free"; Ash and Adams 2020, "On warm-starting
    neural network training", for shrinking and disturbing.
    """

    name: ClassVar[str] = "snapshot"
    counts: ClassVar[str | None] = "snapshots"

    last: int | None = Field(None, ge=1, description="how many of the last snapshots are averaged; all by default")
    initial_factor: float = Field(4.0, gt=0, description="factor on the learning rate at the start of a cycle")
    final_factor: float = Field(0.0, ge=0, le=1, description="factor on the learning rate at the end of a cycle")
    shrink: float = Field(0.7, gt=0, le=1, description="factor on the weights at the start of a cycle after the first")
    perturb: float = Field(0.5, ge=0, description="noise on the weights then, in standard deviations of a tensor")

    def plan(self, context: Context) -> Plan:
        """Train one network in cycles."""
        cycles = context.members or DEFAULT_CYCLES
        period = self._period(cycles, context.epochs)
        schedule = CosineRestarts(
            period_epochs=period, initial_factor=self.initial_factor, final_factor=self.final_factor
        )
        results: list[MemberResult] = []
        for cycle in range(cycles):
            before = self._disturbed(results[-1].state, context.generator(f"cycle-{cycle}")) if results else None
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

    def _disturbed(self, state: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the state with its weights shrunk and noise added; biases and normalization stay."""
        found = dict(state)
        for name, tensor in sorted(state.items()):
            if tensor.ndim > 1 and tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
                found[name] = self.shrink * tensor + self.perturb * tensor.std() * noise
        return found

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
