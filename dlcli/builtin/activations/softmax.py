"""The activation `softmax`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class Softmax(Activation):
    """Features as shares of one: e^(x_i) / Σ_j e^(x_j), over the features of one row and position.

    For gates and attention between layers; for outputs there is none, since networks answer with logits. Of many
    features all but a few are near 0, and their gradients too.

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    name: ClassVar[str] = "softmax"
    formula: ClassVar[str] = "exp(x_i) / sum_j exp(x_j)"
    gradient: ClassVar[str] = "y_i * (1 - y_i) by x_i, -y_i * y_j by another x_j"
    output_range: ClassVar[str] = "(0, 1)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "where one feature is far above the others: all gradients vanish"

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; of one feature it makes 1."""
        return nn.Softmax(feature_dim)
