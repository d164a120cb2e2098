"""The architecture `mlp`."""

from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from dlcli import (
    Activation,
    AffineBlock,
    Architecture,
    ConditionalSequential,
    ConditionUse,
    DropoutKind,
    InputOutput,
    Normalization,
    PerMember,
    Residual,
    by_name,
    conditionings,
)
from dlcli.builtin.architectures.flat import FlatNetwork, flat_width


class MLP(Architecture):
    """Multilayer perceptron: blocks of affine map, normalization, activation and dropout, then an affine head.

    All inputs are flattened and put side by side. Layers are named `blocks.0.affine`, …, `head`; of residual blocks
    `blocks.1.branch.affine`. The first choice for tables; images and sequences lose what is near what.

    Args:
        hidden: Widths of the hidden layers, each ≥ 1; empty gives `linear`.
        activation: What follows each hidden affine map.
        norm: What stands between a hidden affine map and its activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped in training.
        dropout_kind: `inverted`, or `alpha`, which goes with `selu`; `spatial` and `rows` as `Dropout` says.
        residual: Whether a block that is as wide as what goes into it adds that to its output.
        stochastic_depth: Probability in [0, 1) that a row skips the last residual block in training; less for earlier
            ones, in proportion to their depth.
        conditions: How hidden layers take condition fields, by scale and shift after their norm: one entry a layer, a
            field or `{ scale = "age", shift = "dose" }`; empty gives all conditions to every layer.

    Shape:
        features (B, F), images (B, C, H, W) and sequences (B, T, F) give logits or targets (B, O).

    Raises:
        ValueError: From `build`: inputs, conditions or a target that it cannot do; `residual` where no two widths that
            follow one another are equal.

    Source: Rumelhart et al. 1986, "Learning representations by back-propagating errors".
    """

    name: ClassVar[str] = "mlp"

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), description="widths of the hidden layers")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:none")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a hidden unit is dropped")
    dropout_kind: DropoutKind = Field("inverted", description="what is dropped together, or replaced; alpha for selu")
    residual: bool = Field(False, description="whether blocks of equal widths add their input to their output")
    stochastic_depth: PerMember = Field(0.0, ge=0, lt=1, description="probability that a row skips the last block")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift each hidden layer")

    def ignored(self) -> tuple[str, ...]:
        """Say where there are no blocks that could be skipped, or no dropout of the given kind."""
        found = []
        if self.stochastic_depth and not self.residual:
            found.append("stochastic_depth is not used without residual = true: only residual blocks can be skipped")
        if self.dropout_kind != "inverted" and not self.dropout:
            found.append(f'dropout_kind = "{self.dropout_kind}" is not used, since dropout = 0')
        return tuple(found)

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        widths = (flat_width(self.name, io), *self.hidden)
        count = len(self.hidden)
        blocks: list[nn.Module] = [
            AffineBlock(
                partial(nn.Linear, narrow),
                width,
                normalization=self.norm,
                activation=self.activation,
                dropout=self.dropout,
                dropout_kind=self.dropout_kind,
                conditioning=conditioning,
            )
            for (narrow, width), conditioning in zip(
                pairwise(widths), conditionings(self.name, io, count, self.conditions), strict=True
            )
        ]
        if self.residual:
            same = [place for place, (narrow, width) in enumerate(pairwise(widths)) if narrow == width]
            if not same:
                raise ValueError(
                    f"mlp: residual needs two equal widths one after the other, but they are {list(widths)}, the "
                    "inputs first; make hidden layers equally wide, or leave residual out"
                )
            for place in same:
                blocks[place] = Residual(blocks[place], None, self.stochastic_depth * ((place + 1) / count))
        return FlatNetwork(ConditionalSequential(blocks), nn.Linear(widths[-1], io.outputs))
