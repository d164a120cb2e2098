"""The normalization `instance`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dlcli import Normalization


class FeatureInstanceNorm(nn.Module):
    """Instance normalization of maps of any number of dimensions.

    Args:
        width: Number of features.
        eps: Added to the variance.

    Shape:
        (B, C, H, W) of two positions or more; the same comes out.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each feature of each row over its positions."""
        if x.shape[2:].numel() < 2:
            raise ValueError(
                f"instance: a row has one value a feature, shape {tuple(x.shape[1:])}, and nothing to normalize it "
                "over; instance is for images of two pixels or more: leave out such layers (of a cnn with "
                "hidden = []), or choose group, layer or batch"
            )
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the width."""
        return f"{len(self.weight)}, eps={self.eps}"


class Instance(Normalization):
    """Instance normalization: (x − mean) / sqrt(variance + eps) · γ + β, a feature's statistics within one row.

    Statistics run over the pixels of an image: contrast and brightness are lost, which is wanted where only shape and
    texture count. The same in training and evaluation. Not for sequences, whose steps would see later ones and padding.

    Args:
        eps: Added to the variance, > 0; torch's default.

    Raises:
        ValueError: From `build`: for sequences. From the module: rows have one value a feature, as in the hidden layers
            of a cnn.

    Source: Ulyanov et al. 2016, "Instance normalization: the missing ingredient for fast stylization".
    """

    name: ClassVar[str] = "instance"

    eps: float = Field(1e-5, gt=0, description="added to the variance")

    @property
    def removes_bias(self) -> bool:
        """True: the mean that is subtracted holds any bias."""
        return True

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; γ = 1 and β = 0."""
        if feature_dim == -1:
            raise ValueError(
                "instance normalizes over all steps of a sequence, so that a step would see later ones and padding; "
                "choose layer, rms or group, which see one step"
            )
        return FeatureInstanceNorm(width, self.eps)
