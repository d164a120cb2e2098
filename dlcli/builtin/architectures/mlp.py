"""The architecture `mlp`."""

from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from dlcli import Activation, AffineBlock, Architecture, InputOutput, Normalization, PerMember, by_name
from dlcli.builtin.architectures.flat import FlatNetwork, flat_width


class MLP(Architecture):
    """Multilayer perceptron: blocks of affine map, normalization, activation and dropout, then an affine head.

    All inputs are flattened and put side by side. Layers are named `blocks.0.affine`, …, `head`.

    Args:
        hidden: Widths of the hidden layers, each ≥ 1; empty gives `linear`.
        activation: What follows each hidden affine map.
        norm: What stands between a hidden affine map and its activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped in training.

    Shape:
        features (B, F), images (B, C, H, W) and sequences (B, T, F) give logits or targets (B, O).

    Raises:
        ValueError: From `build`: inputs, conditions or a target that it cannot do.

    Source: Rumelhart et al. 1986, "Learning representations by back-propagating errors".
    """

    name: ClassVar[str] = "mlp"

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), description="widths of the hidden layers")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:none")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a hidden unit is dropped")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        widths = (flat_width(self.name, io), *self.hidden)
        blocks = [
            AffineBlock(
                partial(nn.Linear, narrow),
                width,
                normalization=self.norm,
                activation=self.activation,
                dropout=self.dropout,
            )
            for narrow, width in pairwise(widths)
        ]
        return FlatNetwork(nn.Sequential(*blocks), nn.Linear(widths[-1], io.outputs))
