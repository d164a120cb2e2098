"""The architecture `gated_mlp`."""

import math
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from dlcli import Activation, Architecture, Dropout, InputOutput, PerMember, by_name


class GatedMLP(Architecture):
    """Multilayer perceptron whose layers have gates: each unit learns for which rows it lets its value pass.

    A layer is dropout(activation(W x + a) · sigmoid(V x + b)); an affine head gives the logits.

    Args:
        hidden: Widths of the hidden layers, each ≥ 1; empty for the head alone.
        activation: What each hidden value goes through before its gate.
        dropout: Probability in [0, 1) that a hidden unit is dropped in training.

    Shape:
        features (B, F) or images (B, C, H, W), flattened; logits (B, O) come out.

    Raises:
        ValueError: From `build`: anything else than one input of features or an image, and one answer a row.

    Source: Dauphin et al. 2017, "Language modeling with gated convolutional networks".
    """

    name: ClassVar[str] = "gated_mlp"

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 64), description="widths of the hidden layers")
    activation: Activation = by_name("dlcli-example:snake")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a hidden unit is dropped")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        kinds = [field.kind for field in (*io.inputs, *io.conditions)]
        if kinds not in (["features"], ["image"]) or io.per_position:
            raise ValueError(
                f"gated_mlp takes one input of features or an image and gives one answer a row, but the data has "
                f"{', '.join(kinds)}{' and an answer for every position' if io.per_position else ''}; "
                "choose another architecture, such as mlp"
            )
        widths = (math.prod(io.inputs[0].shape), *self.hidden)
        layers = [GatedLayer(narrow, width, self.activation, self.dropout) for narrow, width in pairwise(widths)]
        return GatedNetwork(nn.Sequential(*layers), nn.Linear(widths[-1], io.outputs))


class GatedLayer(nn.Module):
    """dropout(activation(W x + a) · sigmoid(V x + b)).

    Args:
        inputs: Width of the input.
        width: Width of the output.
        activation: The nonlinearity; it may need more inputs than it has outputs.
        dropout: Probability that an output is dropped in training.
    """

    def __init__(self, inputs: int, width: int, activation: Activation, dropout: float | Tensor) -> None:
        super().__init__()
        self.affine = nn.Linear(inputs, width * activation.input_multiple)
        self.gate = nn.Linear(inputs, width)
        self.activation = activation.build(width)  # this name is how regularizers find activations
        self.dropout = Dropout(dropout)  # ours: its masks belong to the member, and resuming draws them again

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width) of (B, inputs)."""
        passed: Tensor = self.dropout(self.activation(self.affine(x)) * self.gate(x).sigmoid())
        return passed


class GatedNetwork(nn.Module):
    """Gated layers and a head.

    Args:
        layers: From (B, F) to (B, width).
        head: From (B, width) to the outputs.
    """

    def __init__(self, layers: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.layers = layers
        self.head = head

    def forward(
        self,
        x: Tensor,
        *,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, O); conditions, lengths and mask are not used."""
        logits: Tensor = self.head(self.layers(x.flatten(1)))
        return logits
