"""The regularizer `l1`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class L1(Regularizer):
    """Pulls weights to exactly zero where they do not pay: adds strength · Σ |w| to the loss, once a step.

    The pull is as strong on small weights as on large ones, so that few stay. Gradient steps leave the others small
    around zero instead of at it.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        strength: Factor, ≥ 0; larger pulls harder; 0 for none.

    Source: Tibshirani 1996, "Regression shrinkage and selection via the lasso".
    """

    name: ClassVar[str] = "l1"

    strength: PerMember = Field(1e-5, ge=0, description="factor on the sum of absolute weights")

    def penalty(self, parameters: Mapping[str, Tensor], activations: Mapping[str, Tensor]) -> Tensor:
        """Return strength · Σ |w|; 0 where nothing is selected."""
        sizes = [parameter.abs().sum() for parameter in parameters.values()]
        return self.strength * torch.stack(sizes).sum() if sizes else torch.zeros(())
