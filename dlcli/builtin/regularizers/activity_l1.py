"""The regularizer `activity_l1`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class ActivityL1(Regularizer):
    """Keeps most units silent: adds strength · Σ |a| over the hidden activations to the loss, the mean of the rows.

    a are the outputs of all modules named `activation`. It makes what a network finds in a row sparse, where `l1` does
    that to its weights. A normalization or a next layer that scales up undoes it: combine it with `l2`. The sum grows
    with the number of units: give convolutions a smaller strength.

    Args:
        select: Unused: it touches no parameters.
        strength: Factor, ≥ 0; 0 for none.

    Raises:
        UsageError: The network has no module named `activation`.

    Source: Glorot et al. 2011, "Deep sparse rectifier neural networks"; Keras' `activity_regularizer`.
    """

    name: ClassVar[str] = "activity_l1"
    activations: ClassVar[str | None] = "*activation"

    strength: PerMember = Field(1e-5, ge=0, description="factor on the sum of absolute activations of a row")

    def activity(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Return strength · Σ |a| of each row, (B,)."""
        return self.strength * torch.stack([values.flatten(1).abs().sum(1) for values in activations.values()]).sum(0)
