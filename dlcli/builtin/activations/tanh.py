"""The activation `tanh`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class Tanh(Activation):
    """Hyperbolic tangent: smooth, bounded and centred on zero.

    For recurrent networks and outputs of a bounded size. Saturates: its gradient vanishes for |x| above about 3, so
    deep stacks of it learn slowly without a normalization.

    Source: LeCun et al. 1998, "Efficient backprop".
    """

    name: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "(exp(x) - exp(-x)) / (exp(x) + exp(-x))"
    gradient: ClassVar[str] = "1 - tanh(x)^2"
    output_range: ClassVar[str] = "(-1, 1)"
    zero_centred: ClassVar[bool] = True
    saturates: ClassVar[str] = "on both sides: the gradient is below 0.01 for |x| > 3"

    @property
    def gain(self) -> float:
        """5/3, torch's."""
        return 5 / 3

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Tanh()
