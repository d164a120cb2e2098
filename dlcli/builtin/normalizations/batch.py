"""The normalization `batch`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Normalization


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization of a feature over all other dimensions, whatever their number.

    Args:
        width: Number of features.
        feature_dim: Dimension that holds them.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.

    Shape:
        (B, F), (B, C, H, W) or, with `feature_dim=-1`, (B, T, F); the same comes out.
    """

    def __init__(self, width: int, feature_dim: int, eps: float, momentum: float) -> None:
        super().__init__(width, eps=eps, momentum=momentum)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Normalize by the batch's statistics in training, by the running ones in evaluation."""
        features_second = x.movedim(self.feature_dim, 1)
        rows = features_second.flatten(2) if features_second.ndim > 3 else features_second
        return super().forward(rows).reshape(features_second.shape).movedim(1, self.feature_dim)


class Batch(Normalization):
    """Batch normalization: (x − mean) / sqrt(variance + eps) · γ + β, a feature's statistics taken over the batch.

    Statistics run over rows and positions; filler rows and padding count in them. Evaluation uses the running
    averages, whose variance is unbiased, as in torch. A batch needs at least two values a feature.

    Args:
        eps: Added to the variance, > 0; torch's default.
        momentum: Weight of the newest batch in the running statistics, in (0, 1]; torch's default.

    Source: Ioffe and Szegedy 2015, "Batch normalization".
    """

    name: ClassVar[str] = "batch"

    eps: float = Field(1e-5, gt=0, description="added to the variance")
    momentum: float = Field(0.1, gt=0, le=1, description="weight of the newest batch in the running statistics")

    @property
    def removes_bias(self) -> bool:
        """True: the mean that is subtracted holds any bias."""
        return True

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; γ = 1 and β = 0."""
        return BatchNorm(width, feature_dim, self.eps, self.momentum)
