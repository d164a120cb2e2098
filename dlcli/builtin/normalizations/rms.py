"""The normalization `rms`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Normalization


class FeatureRMSNorm(nn.RMSNorm):
    """Root mean square normalization over the features of one row and position, in whichever dimension they are.

    Args:
        width: Number of features.
        feature_dim: Dimension that holds them.
        eps: Added to the mean square.

    Shape:
        (B, F), (B, C, H, W) or, with `feature_dim=-1`, (B, T, F); the same comes out.
    """

    def __init__(self, width: int, feature_dim: int, eps: float) -> None:
        super().__init__(width, eps=eps)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each row, and each position of an image or a sequence, on its own."""
        return super().forward(x.movedim(self.feature_dim, -1)).movedim(-1, self.feature_dim)


class RMS(Normalization):
    """Root mean square normalization: x / sqrt(mean(x²) + eps) · γ, over the features of one row and position.

    Like `layer` without the subtraction of a mean and without β: cheaper, and as good in transformers. The same in
    training and evaluation.

    Args:
        eps: Added to the mean square, > 0; the default is that of T5 and Llama, torch's is the type's precision.

    Source: Zhang and Sennrich 2019, "Root mean square layer normalization".
    """

    name: ClassVar[str] = "rms"

    eps: float = Field(1e-6, gt=0, description="added to the mean square")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; γ = 1."""
        return FeatureRMSNorm(width, feature_dim, self.eps)
