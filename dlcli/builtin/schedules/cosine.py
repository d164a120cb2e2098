"""The schedule `cosine`."""

import math
from typing import ClassVar

from pydantic import Field

from dlcli import History, Horizon, Schedule


class Cosine(Schedule):
    """Half a cosine from 1 to `final_factor` over the whole training: f + (1 − f)(1 + cos(π t / T)) / 2.

    t counts optimizer steps since the warm-up's end and T is how many are left then, so it is torch's
    CosineAnnealingLR stepped after every optimizer step, with eta_min = f · lr. The last step is one short of t = T.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        final_factor: f, the factor at the end, in [0, 1].

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", without restarts.
    """

    name: ClassVar[str] = "cosine"
    needs_horizon: ClassVar[bool] = True

    final_factor: float = Field(0.0, ge=0, le=1, description="factor on the learning rate at the end of training")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor; `final_factor` from the horizon on."""
        # A warm-up as long as the training leaves nothing, yet asks for the factor that it should reach.
        progress = min(step / max(horizon.steps, 1), 1.0)
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * progress)) / 2
