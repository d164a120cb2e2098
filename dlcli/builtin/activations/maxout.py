"""The activation `maxout`."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Activation, Initialization
from dlcli.builtin.activations.second_moment import second_moment_gain


class Maxout(Activation):
    """The largest of several affine maps, so that a unit learns its own convex shape: max(x_1, …, x_k).

    The affine map before it is k times as wide and costs as much more. Piece j of all features lies at places j · width
    to (j + 1) · width of the input.

    Args:
        pieces: Maps k of which the largest is taken, ≥ 2.

    Shape:
        (…, k · width, …) gives (…, width, …).

    Source: Goodfellow et al. 2013, "Maxout networks".
    """

    name: ClassVar[str] = "maxout"
    formula: ClassVar[str] = "max(x_1, ..., x_k)"
    gradient: ClassVar[str] = "1 by the largest x_j, 0 by the others"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "nowhere; a piece that is never the largest stops learning"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    pieces: int = Field(2, ge=2, description="maps of which the largest is taken")

    @property
    def input_multiple(self) -> int:
        """The number of pieces."""
        return self.pieces

    @property
    def gain(self) -> float:
        """1 / sqrt(E max²) for independent pieces: the largest has the density k · φ(z) · Φ(z)^(k − 1)."""
        k = self.pieces
        # Φ by erfc, since 1 + erf is 0 far on the left, and negative by rounding.
        return second_moment_gain(lambda z: z * math.sqrt(k * (0.5 * math.erfc(-z / math.sqrt(2))) ** (k - 1)))

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module."""
        return LargestPiece(self.pieces, width, feature_dim)


class LargestPiece(nn.Module):
    """The largest of each feature's pieces.

    Args:
        pieces: Pieces of a feature, k.
        width: Number of features.
        feature_dim: Dimension that holds features.

    Shape:
        (…, k · width, …) gives (…, width, …).
    """

    def __init__(self, pieces: int, width: int, feature_dim: int) -> None:
        super().__init__()
        self.shape = (pieces, width)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest piece of every feature."""
        pieces = torch.unflatten(x, self.feature_dim, self.shape)
        return pieces.amax(self.feature_dim if self.feature_dim >= 0 else self.feature_dim - 1)
