"""The activation `mish`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation, Initialization


class Mish(Activation):
    """A self-gated line: x · tanh(softplus(x)), softplus(x) = log(1 + e^x).

    Smooth and not monotone, close to `swish`, and dearer.

    Source: Misra 2019, "Mish: a self regularized non-monotonic activation function".
    """

    name: ClassVar[str] = "mish"
    formula: ClassVar[str] = "x * tanh(softplus(x))"
    gradient: ClassVar[str] = "tanh(softplus(x)) + x * sigmoid(x) * (1 - tanh(softplus(x))^2)"
    output_range: ClassVar[str] = "[-0.30885, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on the left: the gradient is within 0.01 of 0 for x < -6.3"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²)."""
        return 1.486848

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Mish()
