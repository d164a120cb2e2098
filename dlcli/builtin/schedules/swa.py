"""The schedule `swa`."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from dlcli import History, Horizon, Schedule


class StochasticWeightAveraging(Schedule):
    """1 for the first share `start` of the training, then annealed to `final_factor` and kept there.

    With p the share of the anneal that is done, the factor is 1 + (final_factor − 1) · a: a = (1 − cos(π p)) / 2 for
    `cosine`, a = p for `linear`. This is torch's SWALR stepped after every optimizer step. Of E epochs after the
    warm-up the anneal begins with epoch ⌊start · E⌋ + 1. Goes with the averager `swa`.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        start: Share of the training, without its warm-up, after which the rate is annealed, in [0, 1).
        anneal_epochs: Length of the anneal in epochs, ≥ 0; 0 goes to `final_factor` at once.
        anneal: Its form, `cosine` or `linear`.
        final_factor: Factor on the learning rate in the end, > 0; above 1 for a higher rate than before.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".
    """

    name: ClassVar[str] = "swa"
    needs_horizon: ClassVar[bool] = True

    start: float = Field(0.75, ge=0, lt=1, description="share of the training after which the rate is annealed")
    anneal_epochs: float = Field(2.0, ge=0, description="length of the anneal, in epochs; 0 for none")
    anneal: Literal["cosine", "linear"] = Field("cosine", description="form of the anneal")
    final_factor: float = Field(0.5, gt=0, description="factor on the learning rate in the end")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the step."""
        # The small part keeps a product such as 0.29 · 100 from falling to the epoch below.
        begin = math.floor(self.start * horizon.steps / horizon.steps_per_epoch + 1e-9) * horizon.steps_per_epoch
        length = self.anneal_epochs * horizon.steps_per_epoch
        if step < begin:
            return 1.0
        progress = min((step - begin) / length, 1.0) if length else 1.0
        share = progress if self.anneal == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return 1 + (self.final_factor - 1) * share
