"""The schedule `constant`."""

from typing import ClassVar

from dlcli import History, Horizon, Schedule


class Constant(Schedule):
    """Leaves the learning rate as it is: factor 1, after a warm-up where one is asked for.

    Args:
        warmup_epochs: Length of a linear warm-up in epochs, ≥ 0; 0 means none.
        warmup_start_factor: Where the warm-up starts, as a share of the factor it rises to, in [0, 1].
    """

    name: ClassVar[str] = "constant"
    needs_horizon: ClassVar[bool] = False

    def shape(self, step: int, horizon: Horizon, history: History) -> float:
        """Return 1."""
        return 1.0
