"""By how much answers miss their margin, as hinge losses count it."""

from typing import Literal

import torch
from torch import Tensor

Multiclass = Literal["crammer_singer", "weston_watkins"]


def shortfalls(output: Tensor, target: Tensor, multiclass: Multiclass) -> Tensor:
    """Return by how much each margin falls short of 1, ≥ 0.

    Args:
        output: (B, O) or (B, T, O).
        target: (B,) or (B, T) class indices for multiclass; 0 or 1 in the output's shape otherwise.
        multiclass: Which margins a multiclass answer has.

    Returns:
        Binary and multilabel: max(0, 1 − s z) with s = 2y − 1, in the output's shape. Crammer–Singer:
        max(0, 1 + max_{c≠y} z_c − z_y), (…, 1). Weston–Watkins: max(0, 1 + z_c − z_y), 0 for y itself, (…, C).
    """
    if target.ndim == output.ndim:
        return torch.relu(1 - (2 * target.to(output.dtype) - 1) * output)
    own = target.long().unsqueeze(-1)
    others = output.masked_fill(own == torch.arange(output.shape[-1], device=output.device), -torch.inf)
    if multiclass == "crammer_singer":
        others = others.amax(-1, keepdim=True)
    return torch.relu(1 + others - output.gather(-1, own))
