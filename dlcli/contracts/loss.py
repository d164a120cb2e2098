"""The contract of a loss."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from dlcli.contracts.component import Component
from dlcli.contracts.task import Task


class Loss(Component):
    """What training makes small: one unweighted value a sample.

    The engine reduces Σ(w · row · mask · ℓ) / Σ(w · row · mask), with w from `weights` and the row's own weight.

    A loss for regression may ask the network for several outputs a target, such as a mean and a variance: it then says
    how many by `outputs_per_target` (k), and by `prediction`, `spread` and `own_units` what they mean. Losses get all
    of them; metrics, predictions and whoever else wants targets get the `prediction`.
    """

    kind: ClassVar[str] = "loss"
    tasks: ClassVar[frozenset[Task]]
    outputs_per_target: ClassVar[int] = 1

    @abstractmethod
    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return ℓ of every sample, unweighted.

        Args:
            output: (B, O) or (B, T, O), as in `Task`; with several outputs a target (…, k · O).
            target: (B,) or (B, T) class indices for multiclass; (B, O) or (B, T, O) otherwise.

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
            outputs: Width O of the network's output; for regression the number of targets.
        """

    def prediction(self, output: Tensor) -> Tensor:
        """Return what outputs say of the targets; override where there are several outputs a target.

        Args:
            output: (…, k · O).

        Returns:
            (…, O).
        """
        return output

    def spread(self, output: Tensor) -> Tensor | None:
        """Return the standard deviation of each target around its prediction, where outputs say it.

        Args:
            output: (…, k · O).

        Returns:
            (…, O), > 0, in the target's unit; None where outputs say nothing of it.
        """
        return None

    def for_scaled(self, scale: Tensor) -> "Loss":
        """Return the loss of targets divided by a scale that asks the same of them as this one of targets as they are.

        Override where a parameter is in the target's unit: it is divided by the scale.

        Args:
            scale: Of each target (O,), > 0.

        Returns:
            The loss to train with under `data.scale_target`; this one by default.

        Raises:
            ValueError: One number cannot be in the unit of several targets.
        """
        return self

    def own_units(self, offset: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return how outputs for scaled targets, (target − offset) / scale, become those for targets as they are.

        Args:
            offset: Of each target (O,).
            scale: Of each target (O,), > 0.

        Returns:
            Offset and scale of each output (k · O,): output · scale + offset. By default all of a target's outputs are
            in its unit, and of k outputs a target all first ones come first.
        """
        return offset.repeat(self.outputs_per_target), scale.repeat(self.outputs_per_target)
