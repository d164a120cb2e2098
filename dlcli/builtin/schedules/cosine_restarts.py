"""The schedule `cosine_restarts`."""

import math
from typing import ClassVar

from pydantic import Field

from dlcli import History, Horizon, Schedule


class CosineRestarts(Schedule):
    """Half a cosine from `initial_factor` (1) to `final_factor`, again and again, in periods that may grow.

    Periods are counted in optimizer steps since the warm-up's end: torch's CosineAnnealingWarmRestarts of the base
    rate initial_factor · lr, stepped after every optimizer step, with T_0 = period_epochs · steps an epoch and
    eta_min = final_factor · lr.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        period_epochs: Length of the first period in epochs, ≥ 1.
        multiplier: How many times longer each period is than the one before, ≥ 1.
        initial_factor: Factor at the start of a period, > 0; above 1 a short period moves further.
        final_factor: Factor at the end of a period, in [0, 1].

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".
    """

    name: ClassVar[str] = "cosine_restarts"
    needs_horizon: ClassVar[bool] = False

    period_epochs: int = Field(10, ge=1, description="length of the first period, in epochs")
    multiplier: int = Field(1, ge=1, description="how many times longer each period is than the one before")
    initial_factor: float = Field(1.0, gt=0, description="factor on the learning rate at the start of a period")
    final_factor: float = Field(0.0, ge=0, le=1, description="factor on the learning rate at the end of a period")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the step within its period."""
        period = self.period_epochs * horizon.steps_per_epoch
        if self.multiplier == 1:
            step %= period
        while step >= period:
            step -= period
            period *= self.multiplier
        height = self.initial_factor - self.final_factor
        return self.final_factor + height * (1 + math.cos(math.pi * step / period)) / 2
