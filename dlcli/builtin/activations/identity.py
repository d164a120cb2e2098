"""The activation `identity`."""

from typing import ClassVar

from torch import nn

from dlcli import Activation


class Identity(Activation):
    """No nonlinearity: y = x; layers with nothing else between them are together one affine map.

    Where a layer is to be narrower than its neighbours, or for a look at what nonlinearity brings: a network of it
    learns no more than `linear`.

    Source: Baldi and Hornik 1989, "Neural networks and principal component analysis".
    """

    name: ClassVar[str] = "identity"
    formula: ClassVar[str] = "x"
    gradient: ClassVar[str] = "1"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = True
    saturates: ClassVar[str] = "nowhere"

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return Same()


class Same(nn.Identity):
    """The identity by another name: a block calls no `nn.Identity`, but regularizers see activations' outputs."""
