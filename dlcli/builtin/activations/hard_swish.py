"""The activation `hard_swish`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation, Initialization


class HardSwish(Activation):
    """Swish made of straight pieces, without an exponential: x · min(max(x + 3, 0), 6) / 6; for small devices.

    Its gradient is exactly 0 for x < −3, where a unit no longer learns.

    Source: Howard et al. 2019, "Searching for MobileNetV3".
    """

    name: ClassVar[str] = "hard_swish"
    formula: ClassVar[str] = "x * min(max(x + 3, 0), 6) / 6"
    gradient: ClassVar[str] = "0 for x < -3, else 1 for x > 3, else (2 * x + 3) / 6"
    output_range: ClassVar[str] = "[-0.375, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "dies for x <= -3: a unit that is there on every row stops learning"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²)."""
        return 1.736657

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Hardswish()
