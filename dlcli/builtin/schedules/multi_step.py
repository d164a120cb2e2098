"""The schedule `multi_step`."""

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dlcli import History, Horizon, Schedule

Epochs = Annotated[int, Field(ge=1)]


class MultiStep(Schedule):
    """Multiplies the learning rate by `multiplier` after each of the epochs in `milestones`.

    The factor is multiplier^k with k milestones reached. Epochs are counted from the warm-up's end, and every step of
    one has the same factor: torch's MultiStepLR stepped after every epoch.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        milestones: Epochs after which the rate changes, each ≥ 1, rising.
        multiplier: What the rate is multiplied by at each change, in (0, 1]; torch calls it gamma.

    Where it is known when a training gets stuck. Milestones beyond the last epoch do nothing.

    Raises:
        ValueError: The milestones do not rise.

    Source: He et al. 2016, "Deep residual learning for image recognition", section 4.2, among many.
    """

    name: ClassVar[str] = "multi_step"
    needs_horizon: ClassVar[bool] = False

    milestones: tuple[Epochs, ...] = Field((15, 25), min_length=1, description="epochs after which the rate changes")
    multiplier: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied by at each change")

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise ValueError(f"milestones must rise, got {list(self.milestones)}: sort them, and name each once")
        return self

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the epoch that the step belongs to."""
        return float(self.multiplier ** bisect_right(self.milestones, step // horizon.steps_per_epoch))
