"""The optimizer `adagrad`."""

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field

from dlcli import Optimizer, PerMember


class Adagrad(Optimizer):
    """Steps of lr · g / (sqrt(Σ g²) + eps), the sum taken over all steps so far; torch's Adagrad.

    g is the gradient plus weight_decay · θ. torch's lr_decay is left to schedules.

    Args:
        lr: Learning rate, > 0; times the schedule's factor; torch's default.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient.
        initial_accumulator_value: What the sum of squares starts at, ≥ 0; above 0 the first steps are shorter.
        eps: Added to the denominator, > 0.

    For sparse features and rare tokens, whose weights keep long steps. The sum only grows, so steps shrink without
    end: long trainings of dense networks stall, where `rmsprop` and `adam` go on.

    Source: Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    name: ClassVar[str] = "adagrad"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    lr: PerMember = Field(1e-2, gt=0, description="learning rate, times the schedule's factor")
    initial_accumulator_value: float = Field(0.0, ge=0, description="what the sum of squared gradients starts at")
    eps: float = Field(1e-10, gt=0, description="added to the denominator")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's Adagrad, fused on a CPU."""
        trained = list(parameters)
        # torch promises the fused form for CPUs alone.
        fused = all(parameter.device.type == "cpu" for parameter in trained)
        return torch.optim.Adagrad(
            trained,
            lr=lr,
            initial_accumulator_value=self.initial_accumulator_value,
            eps=self.eps,
            weight_decay=weight_decay,
            foreach=not fused,
            fused=fused,
        )
