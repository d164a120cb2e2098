"""The schedule `polynomial`."""

from typing import ClassVar

from pydantic import Field

from dlcli import History, Horizon, Schedule


class Polynomial(Schedule):
    """Falls from 1 to `final_factor` over the whole training as a power: f + (1 − f)(1 − t / T)^power.

    t counts optimizer steps since the warm-up's end and T is how many are left then: torch's PolynomialLR stepped
    after every optimizer step, which knows f = 0 alone. The last step is one short of t = T.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        power: Exponent, > 0; 1 is a straight line, above 1 most of the fall comes early.
        final_factor: f, the factor at the end, in [0, 1].

    The straight line after a warm-up is usual for fine-tuning, power 0.9 for segmentation. Like every schedule laid
    out over the whole training, it ends too high where training stops early.

    Source: Chen et al. 2018, "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
    and fully connected CRFs", section 4.1.2.
    """

    name: ClassVar[str] = "polynomial"
    needs_horizon: ClassVar[bool] = True

    power: float = Field(1.0, gt=0, description="exponent; 1 is a straight line, above 1 most of the fall comes early")
    final_factor: float = Field(0.0, ge=0, le=1, description="factor on the learning rate at the end of training")

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor; `final_factor` from the horizon on."""
        # A warm-up as long as the training leaves nothing, yet asks for the factor that it should reach.
        progress = min(step / max(horizon.steps, 1), 1.0)
        return float(self.final_factor + (1 - self.final_factor) * (1 - progress) ** self.power)
