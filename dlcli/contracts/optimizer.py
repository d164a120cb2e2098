"""The contract of an optimizer."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field

from dlcli.contracts.component import Component, PerMember


class Optimizer(Component):
    """Turns gradients into steps; torch's own class where there is one.

    `decay` says how the optimizer defines weight decay: `coupled` (added to the gradient), `decoupled` (parameters
    shrink by learning rate × decay), `none`. A stack takes one step at rate 1 without decay, then rescales each
    member's change by its own rate, so learning rate and weight decay may differ within a stack.

    Args:
        lr: Learning rate, > 0; times the schedule's factor.
        weight_decay: Weight decay, ≥ 0, as the optimizer defines it; biases and norms decay too, as in torch.
    """

    kind: ClassVar[str] = "optimizer"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]]

    lr: PerMember = Field(1e-3, gt=0, description="learning rate, times the schedule's factor")
    weight_decay: PerMember = Field(0.0, ge=0, description="weight decay; biases and norms decay too, as in torch")

    @abstractmethod
    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's optimizer.

        Args:
            parameters: What to train.
            lr: Rate of the first step: the member's own in the loop, 1 in a stack.
            weight_decay: The member's own in the loop, 0 in a stack.

        Returns:
            An optimizer with one parameter group, fused where torch can.
        """
