"""The regularizer `clip_gradients`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class ClipGradients(Regularizer):
    """Cuts each number of a gradient to ± `max_value`, then shortens it as a whole to at most `max_norm`.

    g ← min(max(g, −max_value), max_value), which changes its direction, as torch's `clip_grad_value_`; then
    g ← g · min(1, max_norm / (‖g‖ + 1e-6)), which keeps it, with ‖g‖ the Euclidean norm over every selected parameter,
    as `clip_grad_norm_`. A NaN in any gradient reaches all of them. For steps that explode now and then; where all are
    too long, a lower learning rate is the remedy.

    Args:
        select: Which parameters: `all` by default, `weights`, or glob patterns joined by commas.
        max_norm: Largest length of the gradient over all selected parameters, ≥ 0; 0 for any.
        max_value: Largest size of each of its numbers, ≥ 0; 0 for any.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".
    """

    name: ClassVar[str] = "clip_gradients"

    select: str = Field("all", description="parameters whose gradients count: all, weights, or globs joined by commas")
    max_norm: PerMember = Field(1.0, ge=0, description="largest length of the whole selected gradient; 0 for any")
    max_value: PerMember = Field(0.0, ge=0, description="largest size of each number of a gradient; 0 for any")

    def ignored(self) -> tuple[str, ...]:
        """Say where nothing is limited."""
        return () if self.max_norm or self.max_value else ("max_norm and max_value are 0, so nothing is clipped",)

    def gradients(self, gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the gradients, cut where a number is too large and shortened where they are too long together."""
        if not gradients:
            return gradients
        like = next(iter(gradients.values()))
        limits = (self.max_value, self.max_norm)
        largest, longest = (torch.as_tensor(limit, dtype=like.dtype, device=like.device) for limit in limits)
        largest = torch.where(largest > 0, largest, torch.inf)
        cut = {name: gradient.clamp(-largest, largest) for name, gradient in gradients.items()}
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in cut.values()]))
        factor = torch.where(longest > 0, (longest / (norm + 1e-6)).clamp(max=1.0), 1.0)
        return {name: gradient * factor for name, gradient in cut.items()}
