"""The schedule `plateau`."""

import math
from functools import lru_cache
from typing import ClassVar, Literal

from pydantic import Field

from dlcli import History, Horizon, Schedule


class Plateau(Schedule):
    """Multiplies the learning rate by `multiplier` when the monitored value has stopped improving.

    An epoch is good when its value is better than the best so far by more than `threshold`, in the direction of
    `train.monitor`; any number is better than NaN. After `patience` epochs in a row that are not, one more lowers the
    rate. This is torch's ReduceLROnPlateau, stepped after every epoch, with min_lr = min_factor · lr and eps = 0.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none. Epochs of the warm-up do not count.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        multiplier: What the rate is multiplied by at each change, in (0, 1); torch calls it factor.
        patience: Epochs in a row that are not good and change nothing yet, ≥ 0.
        threshold: How much better a good value is, ≥ 0.
        threshold_mode: What the threshold is measured in: `relative`, as a share of the best value's size, or
            `absolute`, in the monitored value's units.
        cooldown: Epochs after a change that are not counted, ≥ 0.
        min_factor: Smallest factor, in [0, 1].

    Where it is open how long training pays. With a noisy value the rate falls by chance: raise patience, and keep it
    below that of `early_stopping`, which otherwise stops first.

    Source: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    name: ClassVar[str] = "plateau"
    needs_horizon: ClassVar[bool] = False

    multiplier: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by at each change")
    patience: int = Field(5, ge=0, description="epochs in a row without improvement that change nothing yet")
    threshold: float = Field(1e-4, ge=0, description="how much better a value must be to count as an improvement")
    threshold_mode: Literal["relative", "absolute"] = Field(
        "relative", description="whether the threshold is a share of the best value, or in the value's own units"
    )
    cooldown: int = Field(0, ge=0, description="epochs after a change that are not counted")
    min_factor: float = Field(0.0, ge=0, le=1, description="smallest factor on the learning rate")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor after the epochs so far."""
        return _factor(self, history.scores[math.ceil(self.warmup_epochs) :], 1 if history.direction == "min" else -1)


@lru_cache(maxsize=1024)  # asked at every step of every member, and new only after an epoch
def _factor(plateau: Plateau, scores: tuple[float, ...], sign: int) -> float:
    """Fold the scores, of which a smaller one is better once multiplied by `sign`."""
    factor, best, bad, cooling = 1.0, math.inf, 0, 0
    for score in scores:
        size = abs(best) if plateau.threshold_mode == "relative" else 1.0
        margin = plateau.threshold * size if math.isfinite(best) else 0.0
        if sign * score < best - margin:
            best, bad = sign * score, 0
        else:
            bad += 1
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > plateau.patience:
            factor, bad, cooling = max(factor * plateau.multiplier, plateau.min_factor), 0, plateau.cooldown
    return factor
