"""The activation `selu`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation, Initialization


class SELU(Activation):
    """Scaled ELU: 1.0507 · x for x > 0, else 1.7581 · (e^x − 1); keeps mean 0 and variance 1 through plain layers.

    For deep networks without a normalization, with `init = "auto"`, which is `lecun_normal` here. Behind a
    normalization, or with ordinary dropout, it has no advantage over `elu`.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks".
    """

    name: ClassVar[str] = "selu"
    formula: ClassVar[str] = "1.0507 * x for x > 0, else 1.7581 * (exp(x) - 1)"
    gradient: ClassVar[str] = "1.0507 for x > 0, else 1.7581 * exp(x)"
    output_range: ClassVar[str] = "(-1.7581, inf)"
    zero_centred: ClassVar[bool] = True
    saturates: ClassVar[str] = "on the left: the gradient is below 0.01 for x < -5.2"
    initialization: ClassVar[Initialization] = "lecun_normal"

    @property
    def gain(self) -> float:
        """3/4, torch's; `lecun_normal`, which suits it, takes none."""
        return 0.75

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.SELU()
