"""The normalization `group`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Normalization


class FeatureGroupNorm(nn.GroupNorm):
    """Group normalization whose features are in any dimension; those in the last one, step by step.

    Args:
        groups: Groups of neighbouring features.
        width: Number of features.
        feature_dim: Dimension that holds them, 1 or -1.
        eps: Added to the variance.

    Shape:
        (B, F), (B, C, H, W) or, with `feature_dim=-1`, (B, T, F); the same comes out.
    """

    def __init__(self, groups: int, width: int, feature_dim: int, eps: float) -> None:
        super().__init__(groups, width, eps=eps)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each group of each row over its pixels too, or of each step."""
        if self.feature_dim == -1:
            return super().forward(x.flatten(0, -2)).reshape(x.shape)
        return super().forward(x)


class Group(Normalization):
    """Group normalization: (x − mean) / sqrt(variance + eps) · γ + β, over a group of features of one row.

    Statistics run over the group's neighbouring features: of an image over all pixels, of a sequence step by step,
    so that it sees no later step and no padding. The same in training and evaluation: for images in small batches,
    where `batch` is unsteady.

    Args:
        groups: Number of groups, ≥ 1, which must divide the width; less than it, since groups of one feature are
            `instance`. The paper has 32, for wide networks.
        eps: Added to the variance, > 0; torch's default.

    Raises:
        ValueError: From `build`: the groups do not divide the width, or have one feature each.

    Source: Wu and He 2018, "Group normalization".
    """

    name: ClassVar[str] = "group"

    groups: int = Field(8, ge=1, description="groups of features; must divide the width of every layer")
    eps: float = Field(1e-5, gt=0, description="added to the variance")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; γ = 1 and β = 0."""
        if width % self.groups or width == self.groups:
            allowed = ", ".join(str(groups) for groups in range(1, width) if width % groups == 0)
            advice = f"choose one of {allowed}" if allowed else "choose another norm"
            raise ValueError(
                f"group: {self.groups} groups do not divide a layer of {width} features into groups of 2 or more; "
                f"{advice}, or another width"
            )
        return FeatureGroupNorm(self.groups, width, feature_dim, self.eps)
