"""The layer of most networks: affine → normalization → activation → dropout."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from dlcli.contracts.activation import Activation
from dlcli.contracts.normalization import Normalization
from dlcli.layers.conditional import ConditionalNormalization, Conditioning
from dlcli.layers.dropout import Dropout, DropoutKind


class AffineBlock(nn.Sequential):
    """dropout(activation(normalization(affine(x)))): an affine map with what usually follows it.

    No bias is built before a normalization that would remove it: its gradient is zero, and adaptive optimizers turn
    the rounding noise in it into steps.

    Args:
        affine: Makes the affine map from its output width and whether it has a bias.
        width: Width of the block's output.
        normalization: What normalizes the affine map's output; None for nothing.
        activation: The nonlinearity; widens the affine map where it needs more inputs than outputs. None for none.
        dropout: Probability in [0, 1) that an output is dropped.
        dropout_kind: What is dropped together, as `Dropout` says.
        conditioning: Which conditions scale and shift what was normalized; None for none.
        feature_dim: Dimension that holds features.

    Shape:
        As the affine map takes; (…, width, …) comes out, dtype and device kept.
    """

    affine: nn.Module
    normalization: nn.Module
    activation: nn.Module
    dropout: Dropout

    def __init__(
        self,
        affine: Callable[[int, bool], nn.Module],
        width: int,
        *,
        normalization: Normalization | None,
        activation: Activation | None,
        dropout: float | Tensor = 0.0,
        dropout_kind: DropoutKind = "inverted",
        conditioning: Conditioning | None = None,
        feature_dim: int = 1,
    ) -> None:
        wide = width * (activation.input_multiple if activation else 1)
        normalized = normalization.build(wide, feature_dim) if normalization else nn.Identity()
        if conditioning is not None:
            normalized = ConditionalNormalization(normalized, wide, conditioning, feature_dim)
        super().__init__(
            OrderedDict(
                affine=affine(wide, not (normalization and normalization.removes_bias)),
                normalization=normalized,
                activation=activation.build(width, feature_dim) if activation else nn.Identity(),
                dropout=Dropout(dropout, dropout_kind, feature_dim),
            )
        )

    def forward(self, input: Tensor, conditions: Sequence[Tensor] = ()) -> Tensor:
        """Pass through the parts; those that do nothing are not called, which a small network's step would notice."""
        x = input
        for part in self._modules.values():
            if type(part) is nn.Identity or (type(part) is Dropout and not part.active):
                continue
            x = part(x, conditions) if type(part) is ConditionalNormalization else part(x)
        return x
