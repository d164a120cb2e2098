"""The activation `prelu`."""

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dlcli import Activation, Initialization


class PReLU(Activation):
    """Leaky ReLU that learns its slope: max(0, x) + slope · min(0, x).

    A slope is no weight, so that `l2` does not touch it: decay would pull it towards relu. One a feature fits small
    datasets more closely than is good.

    Args:
        slope: Initial slope for x < 0; the default is torch's.
        slopes: `one` for the whole layer, or one a `feature`.

    Source: He et al. 2015, "Delving deep into rectifiers".
    """

    name: ClassVar[str] = "prelu"
    formula: ClassVar[str] = "max(0, x) + slope * min(0, x)"
    gradient: ClassVar[str] = "1 for x > 0, else slope"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "nowhere, unless it learns a slope of 0"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    slope: float = Field(0.25, description="initial slope below zero")
    slopes: Literal["one", "feature"] = Field("one", description="one slope for the layer, or one a feature")

    @property
    def gain(self) -> float:
        """sqrt(2 / (1 + slope²)), as for leaky_relu."""
        return math.sqrt(2 / (1 + self.slope**2))

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module, with a slope for each of `width` features where wanted."""
        return FeaturePReLU(1 if self.slopes == "one" else width, self.slope, feature_dim)


class FeaturePReLU(nn.PReLU):
    """PReLU whose features are in any dimension.

    Args:
        slopes: How many slopes; 1 or the number of features.
        slope: Their initial value.
        feature_dim: Dimension that holds features.

    Shape:
        (B, F), (B, C, H, W) or, with `feature_dim=-1`, (B, T, F); the same comes out.
    """

    def __init__(self, slopes: int, slope: float, feature_dim: int) -> None:
        super().__init__(slopes, slope)
        self.feature_dim = feature_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of every element."""
        return functional.prelu(x.movedim(self.feature_dim, 1), self.weight).movedim(1, self.feature_dim)
