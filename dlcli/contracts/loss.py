"""The contract of a loss."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from dlcli.contracts.component import Component
from dlcli.contracts.task import Task


class Loss(Component):
    """What training makes small: one unweighted value a sample.

    The engine reduces Σ(w · row · mask · ℓ) / Σ(w · row · mask), with w from `weights` and the row's own weight.
    """

    kind: ClassVar[str] = "loss"
    tasks: ClassVar[frozenset[Task]]

    @abstractmethod
    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return ℓ of every sample, unweighted.

        Args:
            output: (B, O) or (B, T, O), as in `Task`.
            target: (B,) or (B, T) class indices for multiclass; the output's shape otherwise.

        Returns:
            (B,) or (B, T); where a sample has several outputs, their mean.
        """

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean of ℓ, as a 0-d tensor; override where torch has it in one call."""
        return self.values(output, target).mean()

    def weights(self, target: Tensor) -> Tensor | None:
        """Return w of every sample from its target, such as class weights, (B,) or (B, T); None where all are 1."""
        return None

    def check(self, task: Task, outputs: int) -> None:
        """Raise a ValueError where the parameters do not fit the data, such as class weights for other classes.

        Args:
            task: One of `tasks`.
            outputs: Width O of the network's output.
        """
