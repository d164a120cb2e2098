"""The contract of a learning-rate schedule."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from pydantic import Field

from dlcli.contracts.component import Component
from dlcli.contracts.history import History


@dataclass(frozen=True)
class Horizon:
    """How long a training is meant to be.

    Args:
        steps: Optimizer steps in all.
        steps_per_epoch: Optimizer steps in one epoch.
    """

    steps: int
    steps_per_epoch: int


class Schedule(Component):
    """A pure function from the place in training to a factor on the learning rate.

    With a warm-up of W steps from a share s the factor of step t < W is s + (1 − s)(t + 1) / W times the schedule's
    first factor: torch's LinearLR with start_factor = s and total_iters = W, from its second step on. Afterwards the
    schedule runs over what is left of the horizon. Class attribute `needs_horizon`: whether the factor of a step
    depends on how long training is, so that a finished run cannot be made longer.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1]: 0 by default,
            1 holds the first factor.
    """

    kind: ClassVar[str] = "schedule"
    needs_horizon: ClassVar[bool]

    warmup_epochs: float = Field(0.0, ge=0, description="length of a linear warm-up, in epochs; 0 means none")
    warmup_start_factor: float = Field(
        0.0, ge=0, le=1, description="where the warm-up starts, as a share of the factor it rises to"
    )

    def ignored(self) -> tuple[str, ...]:
        """Say where a start of the warm-up is given without one."""
        if self.warmup_epochs or not self.warmup_start_factor:
            return ()
        return ("warmup_start_factor is not used, since warmup_epochs = 0: there is no warm-up",)

    @abstractmethod
    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of a step after warm-up.

        Args:
            step: Optimizer step since the end of warm-up, from 0.
            horizon: What is left of the training after warm-up.
            history: The member's epochs so far.

        Returns:
            Factor on the learning rate, ≥ 0.
        """

    @final
    def factor(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of a step, warm-up included.

        Args:
            step: Optimizer step, from 0.
            horizon: The whole training.
            history: The member's epochs so far.

        Returns:
            Factor on the learning rate, ≥ 0.
        """
        warmup = round(self.warmup_epochs * horizon.steps_per_epoch)
        if not warmup:
            return self.shape(step, horizon, history)
        rest = Horizon(max(horizon.steps - warmup, 0), horizon.steps_per_epoch)
        if step < warmup:
            start = self.warmup_start_factor
            return (start + (1 - start) * (step + 1) / warmup) * self.shape(0, rest, history)
        return self.shape(step - warmup, rest, history)
