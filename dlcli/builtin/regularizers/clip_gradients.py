"""The regularizer `clip_gradients`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class ClipGradients(Regularizer):
    """Shortens the gradient of all selected parameters together to at most `max_norm`, its direction kept.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6)), with ‖g‖ the Euclidean norm over every selected parameter, as torch's
    `clip_grad_norm_` does it. A NaN or infinity in any gradient reaches all of them.

    Args:
        select: Which parameters: `all` by default, `weights`, or glob patterns joined by commas.
        max_norm: Largest length of a gradient, > 0.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".
    """

    name: ClassVar[str] = "clip_gradients"

    select: str = Field("all", description="parameters whose gradients count: all, weights, or globs joined by commas")
    max_norm: PerMember = Field(1.0, gt=0, description="largest length of the gradient over all selected parameters")

    def gradients(self, gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the gradients, shortened where they are too long together."""
        if not gradients:
            return gradients
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients.values()]))
        factor = (self.max_norm / (norm + 1e-6)).clamp(max=1.0)
        return {name: gradient * factor for name, gradient in gradients.items()}
