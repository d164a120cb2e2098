"""The regularizer `l2`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class L2(Regularizer):
    """Pulls weights towards zero: adds ½ · strength · Σ w² to the loss, once a step.

    The ½ makes the gradient strength · w, so that `strength` means what torch's coupled `weight_decay` does, but on
    selected parameters alone. It also shows in the training loss, which an optimizer's weight decay does not.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        strength: Factor, ≥ 0; larger pulls harder.

    Source: Hoerl and Kennard 1970, "Ridge regression".
    """

    name: ClassVar[str] = "l2"

    strength: PerMember = Field(1e-4, ge=0, description="factor on half the sum of squared weights")

    def penalty(self, parameters: Mapping[str, Tensor], activations: Mapping[str, Tensor]) -> Tensor:
        """Return ½ · strength · Σ w²; 0 where nothing is selected."""
        squares = [parameter.square().sum() for parameter in parameters.values()]
        return 0.5 * self.strength * torch.stack(squares).sum() if squares else torch.zeros(())
