"""The contract of an averager."""

from abc import abstractmethod
from typing import ClassVar

from dlcli.contracts.component import Component
from dlcli.contracts.schedule import Horizon


class Averager(Component):
    """Keeps a second tree of parameters while training: average ← average + w · (parameters − average)."""

    kind: ClassVar[str] = "averager"

    @abstractmethod
    def weight(self, step: int, horizon: Horizon) -> float | None:
        """Return the weight w of the parameters after an optimizer step.

        Args:
            step: Optimizer step just taken, from 0.
            horizon: The whole training.

        Returns:
            w in [0, 1]; 1 starts the average anew; None leaves it alone.
        """
