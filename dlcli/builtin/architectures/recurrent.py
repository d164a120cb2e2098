"""What `rnn`, `lstm` and `gru` share: layers of cells that read sequences step by step."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlcli import (
    Architecture,
    ConditionalNormalization,
    Conditioning,
    ConditionUse,
    Dropout,
    InputOutput,
    Normalization,
    PerMember,
    by_name,
    conditionings,
)
from dlcli.builtin.architectures.steps import at_least_one, last_steps, side_by_side, step_width


class RecurrentLayer(nn.Module):
    """Cells in one or two directions over all steps, then normalization and dropout.

    The backward direction reads each row from its last valid step to its first.

    Args:
        directions: One or two of torch's recurrent modules, `batch_first`.
        normalization: From (B, T, D·H) to the same.
        dropout: On what comes out.

    Shape:
        (B, T, F); (B, T, D·H) comes out.
    """

    def __init__(self, directions: Sequence[nn.RNNBase], normalization: nn.Module, dropout: Dropout) -> None:
        super().__init__()
        self.directions = nn.ModuleList(directions)
        self.normalization = normalization
        self.dropout = dropout

    def forward(self, x: Tensor, conditions: Sequence[Tensor], lengths: Tensor | None) -> Tensor:
        """Read all steps."""
        made = []
        for place, cells in enumerate(self.directions):
            turned = _turned(x, lengths) if place else x
            y = _over_steps(cells, turned, lengths)
            made.append(_turned(y, lengths) if place else y)
        y = made[0] if len(made) == 1 else torch.cat(made, dim=-1)
        norm = self.normalization
        y = norm(y, conditions) if isinstance(norm, ConditionalNormalization) else norm(y)
        return self.dropout(y)  # type: ignore[no-any-return]


class RecurrentNetwork(nn.Module):
    """Recurrent layers, then an affine head of every step, or of the last one.

    Of two directions, the backward one has read the whole row at its first step, so that one is read.

    Args:
        layers: From (B, T, F) to (B, T, D·H).
        head: From D·H to the outputs.
        per_position: Whether there is an answer for every step.
        bidirectional: Whether D is 2.

    Shape:
        Sequences (B, T, F) side by side; logits (B, O), or (B, T, O) per position, come out.
    """

    def __init__(
        self, layers: Sequence[RecurrentLayer], head: nn.Linear, *, per_position: bool, bidirectional: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.head = head
        self.per_position = per_position
        self.bidirectional = bidirectional

    def forward(
        self,
        *inputs: Tensor,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits; the mask is not used, since padding is at the end."""
        x, lengths = side_by_side(inputs), at_least_one(lengths)
        for layer in self.layers:
            x = layer(x, conditions, lengths)
        if not self.per_position:
            last = last_steps(x, lengths)
            if self.bidirectional:
                half = last.shape[-1] // 2
                last = torch.cat([last[:, :half], x[:, 0, half:]], dim=-1)
            x = last
        logits: Tensor = self.head(x)
        return logits


class Recurrent(Architecture):
    """Base of recurrent networks; a subclass says what its cells are."""

    hidden: int = Field(128, ge=1, description="width of each layer and direction")
    layers: int = Field(1, ge=1, description="layers, each of which reads what the one below made")
    bidirectional: bool = Field(False, description="whether a second set of cells reads from the end to the start")
    norm: Normalization = by_name("dlcli:none")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that an output of a layer is dropped")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift each layer's output")

    @abstractmethod
    def cells(self, width: int) -> nn.RNNBase:
        """Return one direction of one layer, `batch_first`, from (B, T, width) to (B, T, hidden)."""

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        width, made = step_width(self.name, io), []
        directions = 2 if self.bidirectional else 1
        for conditioning in conditionings(self.name, io, self.layers, self.conditions):
            cells = [self.cells(width) for _ in range(directions)]
            width = directions * self.hidden
            made.append(RecurrentLayer(cells, self._normalization(width, conditioning), Dropout(self.dropout)))
        head = nn.Linear(width, io.outputs)
        return RecurrentNetwork(made, head, per_position=io.per_position, bidirectional=self.bidirectional)

    def _normalization(self, width: int, conditioning: Conditioning | None) -> nn.Module:
        norm = self.norm.build(width, -1)
        return norm if conditioning is None else ConditionalNormalization(norm, width, conditioning, -1)


def _over_steps(cells: nn.Module, x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the cells' outputs (B, T, H), 0 behind a row's length."""
    if lengths is None:
        y: Tensor = cells(x)[0]
        return y
    if torch.compiler.is_exporting():  # without packed sequences: padding is read, and nothing valid is after it
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return cells(x)[0] * valid[:, :, None].to(x.dtype)  # type: ignore[no-any-return]
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(cells(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def _turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return each row with its valid steps in reverse order; padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    step = torch.arange(x.shape[1], device=x.device)
    last = lengths.long()[:, None] - 1
    place = torch.where(step <= last, last - step, step)
    return x.gather(1, place[:, :, None].expand_as(x))
