"""The activation `hard_sigmoid`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class HardSigmoid(Activation):
    """Sigmoid made of straight pieces, without an exponential: min(max(x + 3, 0), 6) / 6; for gates on small devices.

    Its gradient is exactly 0 for |x| > 3, where a unit no longer learns.

    Source: Howard et al. 2019, "Searching for MobileNetV3".
    """

    name: ClassVar[str] = "hard_sigmoid"
    formula: ClassVar[str] = "min(max(x + 3, 0), 6) / 6"
    gradient: ClassVar[str] = "1/6 for abs(x) < 3, else 0"
    output_range: ClassVar[str] = "[0, 1]"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "dies for |x| >= 3: a unit that is there on every row stops learning"

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²)."""
        return 1.89784

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Hardsigmoid()
