"""What `rnn`, `lstm`, `gru` and `transformer` share: networks that read sequences."""

import torch
from torch import Tensor

from dlcli import InputOutput


def step_width(name: str, io: InputOutput) -> int:
    """Return how many numbers all inputs of a step have together.

    Args:
        name: Name of the architecture that asks, for errors.
        io: What it is built for.

    Returns:
        F, the columns of all sequences side by side.

    Raises:
        ValueError: An input is no sequence, or two differ in their number of steps.
    """
    for field in io.inputs:
        if field.kind == "tokens":
            raise ValueError(
                f'{name} needs numbers, but input {field.name} holds tokens; put "embed" into model.inputs'
            )
        if field.kind != "sequence":
            raise ValueError(
                f"{name} needs sequences N×T×F, but input {field.name} is {field.kind}; give it the role condition, "
                "leave it out with data.fields, or choose mlp"
            )
    steps = {field.name: field.shape[0] for field in io.inputs}
    if len(set(steps.values())) > 1:
        told = ", ".join(f"{field} {count}" for field, count in steps.items())
        raise ValueError(f"{name} reads sequences step by step, side by side, but they differ in steps: {told}")
    return sum(field.shape[1] for field in io.inputs)


def at_least_one(lengths: Tensor | None) -> Tensor | None:
    """Return lengths of 1 or more: a row without steps, which training refuses, is read as one step of padding."""
    return None if lengths is None else lengths.clamp(min=1)


def side_by_side(inputs: tuple[Tensor, ...]) -> Tensor:
    """Return sequences (B, T, F) each as one."""
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=-1)


def last_steps(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the last step of each row, (B, F), from (B, T, F); padding is none."""
    if lengths is None:
        return x[:, -1]
    place = (lengths.long() - 1).view(-1, 1, 1).expand(-1, 1, x.shape[-1])
    return x.gather(1, place).squeeze(1)
