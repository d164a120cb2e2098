"""The architecture `lstm`."""

from typing import ClassVar

from torch import nn

from dlcli.builtin.architectures.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory: c_t = f ⊙ c_{t−1} + i ⊙ g, h_t = o ⊙ tanh(c_t), with gates i, f, o of x_t and h_{t−1}.

    All sequences are read side by side. With one answer a row the head reads the last valid step, of the backward
    direction its first; with one a position it reads every step. Rows of different lengths are packed. Layers are named
    `layers.0.directions.0`, …, `head`.

    Remembers over hundreds of steps; the first choice among recurrent networks. Slow on long rows, since steps wait for
    one another; does not stack, so populations train one after another.

    Args:
        hidden: Width H of each layer and direction, ≥ 1.
        layers: Layers, each of which reads what the one below made, ≥ 1.
        bidirectional: Whether a second set of cells reads each row from its end to its start; never where the future
            is to be predicted.
        norm: What follows each layer; padding counts in the statistics of `batch`.
        dropout: Probability in [0, 1) that an output of a layer is dropped in training.
        conditions: How layers take condition fields, by scale and shift after their norm, as in `mlp`.

    Shape:
        sequences (B, T, F) give logits or targets (B, O), or (B, T, O) per position.

    Raises:
        ValueError: From `build`: inputs or conditions that it cannot do.

    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory"; Gers et al. 2000, "Learning to forget".
    """

    name: ClassVar[str] = "lstm"

    def cells(self, width: int) -> nn.RNNBase:
        """Return one direction of one layer; torch's."""
        return nn.LSTM(width, self.hidden, batch_first=True)
