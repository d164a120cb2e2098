"""The regularizer `max_norm`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class MaxNorm(Regularizer):
    """Keeps the incoming weights of every unit within a ball: w ← w · min(1, max_norm / ‖w‖) after each step.

    A unit is a row of a linear map, an output channel of a convolution, an entry of an embedding: ‖w‖ is the Euclidean
    norm over all dimensions but the first. It lets learning rates be high, above all with dropout. Before a batch or
    layer normalization the length of w changes nothing but the speed of learning.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        max_norm: Largest length of a unit's weights, > 0; 2 to 4 are usual.

    Source: Srivastava et al. 2014, "Dropout"; torch's `renorm`.
    """

    name: ClassVar[str] = "max_norm"

    max_norm: PerMember = Field(3.0, gt=0, description="largest length of the incoming weights of a unit")

    def project(self, parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return parameters whose units are shortened where they are too long."""
        return {name: weight * self._factor(weight) for name, weight in parameters.items()}

    def _factor(self, weight: Tensor) -> Tensor:
        units = weight.reshape(weight.shape[0] if weight.ndim else 1, -1)
        norms = torch.linalg.vector_norm(units, dim=1).clamp_min(torch.finfo(weight.dtype).tiny)
        factor: Tensor = (self.max_norm / norms).clamp(max=1.0)
        return factor.view(-1, *[1] * (weight.ndim - 1))
