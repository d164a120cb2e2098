"""The averager `ema`."""

from typing import ClassVar

from pydantic import Field

from dlcli import Averager, Horizon


class ExponentialMovingAverage(Averager):
    """An exponential moving average of the weights: after each step, average ← d · average + (1 − d) · weights.

    d = min(decay, (1 + t) / (10 + t)) after optimizer step t, counted from 0: the warm-up lets the average forget the
    initial values before `decay` is reached, at t = (10 · decay − 1) / (1 − decay).

    Args:
        decay: Largest d, in [0, 1); the average looks back over about 1 / (1 − decay) steps. 0 follows the weights.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the warm-up as in
    TensorFlow's ExponentialMovingAverage.
    """

    name: ClassVar[str] = "ema"

    decay: float = Field(0.999, ge=0, lt=1, description="share of the average that a step keeps, after the warm-up")

    def weight(self, step: int, horizon: Horizon) -> float:
        """Return 1 − d of the step."""
        return 1 - min(self.decay, (1 + step) / (10 + step))
