"""The activation `snake`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Activation, PerMember


class Snake(Activation):
    """Grows like x and repeats itself, so that a network can go on with a period it has learned.

    snake(x) = x + sin²(alpha · x) / alpha

    Args:
        alpha: Frequency of the waves, > 0; the waves are 1 / alpha high. Near 0 it is x; the default of 1 is the
            paper's, which takes 5 to 50 for data known to be periodic.

    Shape:
        Any shape; the same comes out.

    Source: Ziyin, Hartwig and Ueda 2020, "Neural networks fail to learn periodic functions and how to fix it".
    """

    name: ClassVar[str] = "snake"
    formula: ClassVar[str] = "x + sin(alpha * x)**2 / alpha"
    gradient: ClassVar[str] = "1 + sin(2 * alpha * x)"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "at single points only, where sin(2 * alpha * x) = -1"

    # Members of one stack may differ in alpha, because the module holds it in a buffer.
    alpha: PerMember = Field(1.0, gt=0, description="frequency of the waves, which are 1 / alpha high")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return SnakeModule(self.alpha)


class SnakeModule(nn.Module):
    """x + sin²(alpha · x) / alpha, element by element.

    Args:
        alpha: Frequency, > 0; not part of the state, because it belongs to the recipe.
    """

    alpha: Tensor

    def __init__(self, alpha: float | Tensor) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.as_tensor(alpha, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of every element."""
        return x + torch.sin(self.alpha * x).square() / self.alpha
