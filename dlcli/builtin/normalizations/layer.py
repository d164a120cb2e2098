"""The normalization `layer`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Normalization


class FeatureLayerNorm(nn.LayerNorm):
    """Layer normalization over the features of one row and position, in whichever dimension they are.

    Args:
        width: Number of features.
        feature_dim: Dimension that holds them.
        eps: Added to the variance.

    Shape:
        (B, F), (B, C, H, W) or, with `feature_dim=-1`, (B, T, F); the same comes out.
    """

    def __init__(self, width: int, feature_dim: int, eps: float) -> None:
        super().__init__(width, eps=eps)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each row, and each position of an image or a sequence, on its own."""
        return super().forward(x.movedim(self.feature_dim, -1)).movedim(-1, self.feature_dim)


class Layer(Normalization):
    """Layer normalization: (x − mean) / sqrt(variance + eps) · γ + β, over the features of one row and position.

    The same in training and evaluation, and independent of the batch. In images each position is normalized over its
    channels.

    Args:
        eps: Added to the variance, > 0; torch's default.

    Source: Ba et al. 2016, "Layer normalization".
    """

    name: ClassVar[str] = "layer"

    eps: float = Field(1e-5, gt=0, description="added to the variance")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; γ = 1 and β = 0."""
        return FeatureLayerNorm(width, feature_dim, self.eps)
