"""The architecture `rnn`."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from dlcli.builtin.architectures.recurrent import Recurrent


class RNN(Recurrent):
    """Recurrent network: h_t = tanh(W x_t + b + U h_{t−1} + c), step by step.

    All sequences are read side by side. With one answer a row the head reads the last valid step, of the backward
    direction its first; with one a position it reads every step. Rows of different lengths are packed. Layers are named
    `layers.0.directions.0`, …, `head`.

    The smallest of its kind; what was many steps ago is soon forgotten, and gradients vanish or explode: `lstm` and
    `gru` mend that, `clip_gradients` helps.

    Args:
        hidden: Width H of each layer and direction, ≥ 1.
        layers: Layers, each of which reads what the one below made, ≥ 1.
        bidirectional: Whether a second set of cells reads each row from its end to its start; never where the future
            is to be predicted.
        norm: What follows each layer; padding counts in the statistics of `batch`.
        dropout: Probability in [0, 1) that an output of a layer is dropped in training.
        conditions: How layers take condition fields, by scale and shift after their norm, as in `mlp`.
        nonlinearity: `tanh` or `relu`, which then stands in the formula.

    Shape:
        sequences (B, T, F) give logits or targets (B, O), or (B, T, O) per position.

    Raises:
        ValueError: From `build`: inputs or conditions that it cannot do.

    Source: Elman 1990, "Finding structure in time".
    """

    name: ClassVar[str] = "rnn"

    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="what makes the hidden state")

    def cells(self, width: int) -> nn.RNNBase:
        """Return one direction of one layer; torch's."""
        return nn.RNN(width, self.hidden, batch_first=True, nonlinearity=self.nonlinearity)
