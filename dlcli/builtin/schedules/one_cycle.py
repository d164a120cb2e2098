"""The schedule `one_cycle`."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from dlcli import History, Horizon, Schedule


class OneCycle(Schedule):
    """Rises from `initial_factor` to 1 in the first share `rise` of the training, then falls to `final_factor`.

    The optimizer's lr is the largest rate. This is torch's OneCycleLR of two phases, stepped after every optimizer
    step, with pct_start = rise, div_factor = 1 / initial_factor and final_div_factor = initial_factor / final_factor.
    Only the rate moves: momentum stays as the optimizer has it (torch's cycle_momentum = False).

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none, since the cycle begins with a rise.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        rise: Share of the training in which the rate rises, in [0, 1].
        anneal: Form of rise and fall, `cosine` or `linear`.
        initial_factor: Factor of the first step, in (0, 1].
        final_factor: Factor of the last step, in [0, 1].

    For short trainings at a large rate, such as the one that `dlcli train --find-lr` suggests. What stops early misses
    the fall, where most is gained.

    Source: Smith and Topin 2019, "Super-convergence: very fast training of neural networks using large learning rates".
    """

    name: ClassVar[str] = "one_cycle"
    needs_horizon: ClassVar[bool] = True

    rise: float = Field(0.3, ge=0, le=1, description="share of the training in which the rate rises")
    anneal: Literal["cosine", "linear"] = Field("cosine", description="form of rise and fall")
    initial_factor: float = Field(0.04, gt=0, le=1, description="factor on the learning rate of the first step")
    final_factor: float = Field(4e-6, ge=0, le=1, description="factor on the learning rate of the last step")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the step; `final_factor` from the horizon on."""
        peak, last = self.rise * horizon.steps - 1, horizon.steps - 1
        if last < 0:
            return self.initial_factor  # a warm-up as long as the training asks for what it should reach
        if step <= peak:
            return self._between(self.initial_factor, 1.0, step / peak if peak else 1.0)
        return self._between(1.0, self.final_factor, min((step - peak) / (last - peak), 1.0) if last > peak else 1.0)

    def _between(self, start: float, end: float, progress: float) -> float:
        share = progress if self.anneal == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return start + (end - start) * share
