"""The averager `swa`."""

import math
from typing import ClassVar

from pydantic import Field

from dlcli import Averager, Horizon


class StochasticWeightAverage(Averager):
    """The mean of the weights at the end of each epoch after `start`: the k-th one enters with weight 1 / k.

    Of E epochs those after epoch ⌊start · E⌋ count, so the last one always does. Goes with the schedule `swa`, whose
    anneal begins with the same epoch where there is no warm-up.

    Args:
        start: Share of the training after which epochs count, in [0, 1); 0 for all epochs.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".
    """

    name: ClassVar[str] = "swa"

    start: float = Field(0.75, ge=0, lt=1, description="share of the training after which the epochs' ends count")

    def weight(self, step: int, horizon: Horizon) -> float | None:
        """Return 1 / k at the end of the k-th epoch that counts; None for all other steps."""
        epoch, inside = divmod(step + 1, horizon.steps_per_epoch)
        # The small part keeps a product such as 0.29 · 100 from falling to the epoch below.
        counted = epoch - math.floor(self.start * horizon.steps / horizon.steps_per_epoch + 1e-9)
        return None if inside or counted < 1 else 1 / counted
