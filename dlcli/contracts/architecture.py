"""The contract of an architecture."""

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from dlcli.contracts.component import Component
from dlcli.contracts.field import InputOutput
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.task import Task


class Architecture(Component):
    """Builds the network between preprocessed inputs and logits.

    The module's `forward(*inputs, conditions=(), lengths=None, mask=None)` gets one preprocessed tensor a field, in
    the order of `io.inputs`, and returns logits (B, O), or (B, T, O) per position: never probabilities; for
    regression the targets. Features come as (B, F), images (B, C, H, W), sequences (B, T, F), tokens (B, T).
    `build` draws initial values from torch's CPU stream, which the caller seeds and restores. A per-member number that
    `build` uses becomes a buffer and must not decide the structure. Activation modules are named `activation`, so
    that regularizers find them.
    """

    kind: ClassVar[str] = "architecture"

    @abstractmethod
    def build(self, io: InputOutput) -> nn.Module:
        """Build one network with fresh initial values on the CPU.

        Args:
            io: Inputs, conditions, target, task and classes.

        Returns:
            A module whose `forward` is as above.
        """

    def default_loss(self, task: Task) -> str | None:
        """Return the name of the loss that belongs to it, where a recipe names none; None for the task's own."""
        return None

    def own_regularizers(self, rows: int) -> tuple[Regularizer, ...]:
        """Return regularizers that belong to it, beside those of the recipe.

        Args:
            rows: How many rows a member trains on.

        Returns:
            The regularizers; none by default.
        """
        return ()
