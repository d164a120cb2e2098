"""The schedule `constant`."""

from typing import ClassVar

from dlcli import History, Horizon, Schedule


class Constant(Schedule):
    """Leaves the learning rate as it is: factor 1, after a warm-up where one is asked for.

    For a first look, and with optimizers that find their own steps. The last epochs jump about the minimum, which a
    falling rate, such as `cosine`, does not.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].

    Source: Robbins and Monro 1951, "A stochastic approximation method", for why a rate should fall.
    """

    name: ClassVar[str] = "constant"
    needs_horizon: ClassVar[bool] = False

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return 1."""
        return 1.0
