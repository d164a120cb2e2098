"""The schedule `step`."""

from typing import ClassVar

from pydantic import Field

from dlcli import History, Horizon, Schedule


class Step(Schedule):
    """Multiplies the learning rate by `multiplier` every `step_epochs` epochs: multiplier^⌊epoch / step_epochs⌋.

    Where it is known after how many epochs the loss stands still; each step down then brings it on. Too early a step
    leaves the loss where it is.

    Epochs are counted from the warm-up's end, and every step of one has the same factor: torch's StepLR stepped after
    every epoch.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        step_epochs: Epochs between two changes, ≥ 1.
        multiplier: What the rate is multiplied by at each change, in (0, 1]; torch calls it gamma.

    Source: He et al. 2016, "Deep residual learning for image recognition"; torch.optim.lr_scheduler.StepLR.
    """

    name: ClassVar[str] = "step"
    needs_horizon: ClassVar[bool] = False

    step_epochs: int = Field(10, ge=1, description="epochs between two changes")
    multiplier: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied by at each change")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the epoch that the step belongs to."""
        return float(self.multiplier ** (step // horizon.steps_per_epoch // self.step_epochs))
