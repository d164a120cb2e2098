"""The end of a network that was trained on scaled targets."""

from typing import Any

import torch
from torch import Tensor, nn

SCALING = ("target_offset", "target_scale")
"""Names of its buffers."""


class ScaledTarget(nn.Module):
    """A network for regression whose answers are in the target's own units: output · scale + offset.

    In training mode its outputs are left as they are, so that the loss, and with it the learning rate that fits, does
    not depend on the target's unit.

    Args:
        network: From inputs to scaled targets (B, …, O).
        outputs: Number of targets O.
        offset: Mean of each target (O,); 0 where None.
        scale: Standard deviation of each target (O,); 1 where None.

    Shape:
        As the network's.
    """

    def __init__(
        self, network: nn.Module, outputs: int, offset: Tensor | None = None, scale: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.target_offset: Tensor
        self.target_scale: Tensor
        self.register_buffer("target_offset", torch.zeros(outputs) if offset is None else offset.clone())
        self.register_buffer("target_scale", torch.ones(outputs) if scale is None else scale.clone())

    def forward(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return targets in their own units; while training, scaled ones."""
        output: Tensor = self.network(*inputs, **extra)
        return output if self.training else output * self.target_scale + self.target_offset
