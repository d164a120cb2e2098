"""Whether a stack computes what its members would compute alone, asked at its first step."""

from typing import Any

import torch
from torch import Tensor

from dlcli.training.capture import Captured
from dlcli.training.stack_objective import Inputs, StackObjective
from dlcli.training.stacked_network import CannotStackError
from dlcli.training.tensor_tables import flatten, unflatten

TOLERANCE = 1e-3
"""Largest relative difference that counts as rounding."""


def check_against_eager(objective: StackObjective, inputs: Inputs, captured: Captured) -> None:
    """Refuse a stack whose first and last members' losses are not those that their own networks give.

    Args:
        objective: One member's objective.
        inputs: A first step of the whole stack.
        captured: The stack's step.

    Raises:
        CannotStackError: They differ.
    """
    together = captured.run(*flatten(inputs))[0]
    count = len(together)
    network = objective.network
    witness = network.witness_place
    for place in dict.fromkeys((0, count - 1) if witness is None else (0, witness, count - 1)):
        own: Any = unflatten(inputs, [tensor[place].clone() for tensor in flatten(inputs)])
        alone, _ = objective(own, network.witness if place == witness else network.base)
        if not _close(together[place], alone):
            raise CannotStackError(
                f"member {place + 1} of {count} computes a loss of {float(together[place]):.6g} in the stack and "
                f"{float(alone):.6g} alone: its network depends on a number that is no buffer, or on a state that is "
                "no tensor"
            )


def _close(first: Tensor, second: Tensor) -> bool:
    if not (bool(first.isfinite()) and bool(second.isfinite())):
        return bool(first.isfinite()) == bool(second.isfinite())
    return bool((first - second).abs() <= TOLERANCE * torch.maximum(second.abs(), torch.ones_like(second)))
