"""The schedule `exponential`."""

from typing import ClassVar

from pydantic import Field

from dlcli import History, Horizon, Schedule


class Exponential(Schedule):
    """Falls by the same share in every step, so that an epoch multiplies the rate by `multiplier`.

    The factor is multiplier^(t / n) with t steps since the warm-up's end and n steps an epoch: torch's ExponentialLR
    with gamma = multiplier^(1 / n), stepped after every optimizer step. For stairs take `step` with step_epochs = 1.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        multiplier: What an epoch multiplies the rate by, in (0, 1]; torch calls it gamma.

    Where it is open how long training will be. The rate only falls: over many epochs a multiplier far below 1 leaves
    none.

    Source: torch.optim.lr_scheduler.ExponentialLR.
    """

    name: ClassVar[str] = "exponential"
    needs_horizon: ClassVar[bool] = False

    multiplier: float = Field(0.95, gt=0, le=1, description="what an epoch multiplies the rate by")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the step."""
        return float(self.multiplier ** (step / horizon.steps_per_epoch))
