"""The architecture `linear`."""

from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Architecture, ConditionUse, InputOutput
from dlcli.builtin.architectures.flat import affine_network


class Linear(Architecture):
    """One affine map z = W x + b of all inputs, flattened and side by side: linear regression, or any task's baseline.

    The baseline that every network should beat, and the one whose weights can be read. Fits no bend and no interaction
    of columns.

    With the loss `mse` it is linear regression; for classification the same network is also called `logistic`.

    Condition fields c scale and shift the inputs before it, x · (1 + V c + v) + U c + u, which interact with them.

    Args:
        conditions: Which condition fields scale and shift the inputs, one entry at most, as in `mlp`; empty for all.

    Shape:
        features (B, F), images (B, C, H, W) and sequences (B, T, F) give logits or targets (B, O).

    Raises:
        ValueError: From `build`: inputs, conditions or a target that it cannot do.

    Source: Legendre 1805, "Nouvelles méthodes pour la détermination des orbites des comètes", for least squares.
    """

    name: ClassVar[str] = "linear"

    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift the inputs")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        return affine_network(self.name, io, self.conditions)
