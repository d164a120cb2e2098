"""The activation `gelu`."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from dlcli import Activation, Initialization


class GELU(Activation):
    """Gaussian error linear unit: x · Φ(x), Φ the distribution function of N(0, 1); usual in transformers.

    Smooth and not monotone: it dips to −0.17 at x = −0.75. Costs several times what relu does.

    Args:
        approximation: `none` is exact; `tanh` is x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), at most 0.0005 off, as
            GPT-2 and BERT had it.

    Source: Hendrycks and Gimpel 2016, "Gaussian error linear units".
    """

    name: ClassVar[str] = "gelu"
    formula: ClassVar[str] = "x * normal_cdf(x)"
    gradient: ClassVar[str] = "normal_cdf(x) + x * normal_pdf(x)"
    output_range: ClassVar[str] = "[-0.1701, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on the left: the gradient is within 0.01 of 0 for x < -3.1"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    approximation: Literal["none", "tanh"] = Field("none", description="none is exact; tanh is quicker on some devices")

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²), which the approximation does not change."""
        return 1.5335

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.GELU(approximate=self.approximation)
