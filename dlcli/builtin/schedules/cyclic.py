"""The schedule `cyclic`."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from dlcli import History, Horizon, Schedule


class Cyclic(Schedule):
    """Triangular cycles: in each one the factor rises to `high` in the middle and falls to `low` at the end.

    With t = (step mod c + 1) / c in a cycle of c steps the factor is low + (high − low)(1 − |2t − 1|): Garipov's cycle
    moved by half of itself, so that the rate is lowest in the last step of a cycle, from which a checkpoint every
    `cycle_epochs` is taken. It is torch's CyclicLR, triangular, from its second step on.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
        cycle_epochs: Length of a cycle in epochs, ≥ 1.
        high: Factor on the learning rate in the middle of a cycle, > 0.
        low: Factor at the end of a cycle, > 0, at most `high`.

    Raises:
        ValueError: `low` is above `high`.

    Source: Garipov et al. 2018, "Loss surfaces, mode connectivity, and fast ensembling of DNNs".
    """

    name: ClassVar[str] = "cyclic"
    needs_horizon: ClassVar[bool] = False

    cycle_epochs: int = Field(2, ge=1, description="length of a cycle, in epochs")
    high: float = Field(1.0, gt=0, description="factor on the learning rate in the middle of a cycle")
    low: float = Field(0.01, gt=0, description="factor on the learning rate at the end of a cycle")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, above high = {self.high:g}: give a low of at most high")
        return self

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return the factor of the step within its cycle."""
        length = self.cycle_epochs * horizon.steps_per_epoch
        place = (step % length + 1) / length
        return self.low + (self.high - self.low) * (1 - abs(2 * place - 1))
