"""What `linear`, `logistic` and `mlp` share: networks that read all inputs as one row of numbers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlcli import ConditionalNormalization, ConditionalSequential, ConditionUse, InputOutput, conditionings


def flat_width(name: str, io: InputOutput) -> int:
    """Return how many numbers all inputs of a row have together.

    Args:
        name: Name of the architecture that asks, for errors.
        io: What it is built for.

    Returns:
        The number of columns after flattening.

    Raises:
        ValueError: An input of tokens or categories, or a target for every position.
    """
    if io.per_position:
        raise ValueError(
            f"{name} gives one answer a row, but the target has one for every position; "
            "choose an architecture for sequences, such as lstm or transformer"
        )
    for field in io.inputs:
        if field.kind in ("tokens", "categorical"):
            one_hot = 'put "one_hot" into data.preprocess, or ' if field.kind == "categorical" else ""
            raise ValueError(
                f"{name} needs numbers, but input {field.name} holds {field.kind}; allowed are features, image and "
                f'sequence; {one_hot}put "embed" into model.inputs, or choose an architecture with embeddings'
            )
    return sum(math.prod(field.shape) for field in io.inputs)


class FlatNetwork(nn.Module):
    """Inputs, flattened and side by side, through blocks to an affine head.

    The padding of sequences is read like anything else.

    Args:
        blocks: From (B, F) to (B, width), called with the conditions.
        head: From (B, width) to the outputs.

    Shape:
        One tensor (B, …) a field; logits (B, O) come out.
    """

    def __init__(self, blocks: ConditionalSequential, head: nn.Linear) -> None:
        super().__init__()
        self.blocks = blocks
        self.head = head

    def forward(
        self,
        *inputs: Tensor,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits; lengths and mask are not used."""
        rows = [tensor.flatten(1) for tensor in inputs]
        x = rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)
        logits: Tensor = self.head(self.blocks(x, conditions))
        return logits


def affine_network(name: str, io: InputOutput, conditions: Sequence[ConditionUse]) -> FlatNetwork:
    """Return one affine map of all inputs, which conditions scale and shift before.

    Args:
        name: Name of the architecture that asks, for errors.
        io: What it is built for.
        conditions: Which conditions scale and shift: one entry at most, or none for all.

    Returns:
        The network; torch's default initial values.

    Raises:
        ValueError: What `flat_width` or `conditionings` refuses.
    """
    width = flat_width(name, io)
    (conditioning,) = conditionings(name, io, 1, conditions)
    scaled = [] if conditioning is None else [ConditionalNormalization(nn.Identity(), width, conditioning)]
    return FlatNetwork(ConditionalSequential(scaled), nn.Linear(width, io.outputs))
