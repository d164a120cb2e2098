"""The activation `sigmoid`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class Sigmoid(Activation):
    """Logistic function between layers; for outputs there is none, since networks answer with logits.

    Source: Rumelhart et al. 1986, "Learning representations by back-propagating errors".
    """

    name: ClassVar[str] = "sigmoid"
    formula: ClassVar[str] = "1 / (1 + e^-x)"
    gradient: ClassVar[str] = "sigmoid(x) * (1 - sigmoid(x)), at most 1/4"
    output_range: ClassVar[str] = "(0, 1)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on both sides: the gradient is below 0.01 for |x| > 4.6"

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Sigmoid()
