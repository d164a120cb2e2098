"""An affine map of its own for each column, which `periodic` and `piecewise_linear` end in."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ColumnLinear(nn.Module):
    """An affine map for each of F columns, and a ReLU where wanted, side by side.

    Args:
        columns: Columns F.
        features: Numbers of a column before, K.
        width: Numbers of a column after, D.
        relu: Whether negative numbers become 0.

    Shape:
        (B, F, K) gives (B, F · D).
    """

    def __init__(self, columns: int, features: int, width: int, *, relu: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(features)
        self.weight = nn.Parameter(torch.empty(columns, features, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.relu = relu

    def forward(self, columns: Tensor) -> Tensor:
        """Map each column by its own weights."""
        made = torch.einsum("bfk,fkd->bfd", columns, self.weight) + self.bias
        return (functional.relu(made) if self.relu else made).flatten(1)
