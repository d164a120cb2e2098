"""The activation `glu`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class GLU(Activation):
    """Gated linear unit: a · σ(b), half of the input gating the other half.

    The first half of the features are the values a, the second the gates b; the affine map before it is twice as wide.

    Shape:
        (…, 2 · width, …) gives (…, width, …).

    Source: Dauphin et al. 2017, "Language modeling with gated convolutional networks".
    """

    name: ClassVar[str] = "glu"
    formula: ClassVar[str] = "a * sigmoid(b)"
    gradient: ClassVar[str] = "sigmoid(b) by a, a * sigmoid(b) * (1 - sigmoid(b)) by b"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = True
    saturates: ClassVar[str] = (
        "where the gate is shut: for b < -4.6 the gradients are below 0.01 by a, and 0.01 |a| by b"
    )

    @property
    def input_multiple(self) -> int:
        """Two: values and gates."""
        return 2

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(a, b)²) for independent values and gates."""
        return 1.846229

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.GLU(feature_dim)
