"""The optimizer `adam`."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from dlcli import Optimizer

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Optimizer):
    """Adam: steps of lr · m̂ / (sqrt(v̂) + eps), from bias-corrected running means of g and g²; torch's Adam.

    m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g², with g the gradient plus weight_decay · θ.

    Args:
        lr: Learning rate, > 0; times the schedule's factor.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient. For the decoupled one use `adamw`.
        betas: β₁ and β₂, each in [0, 1): how slowly the running means forget.
        eps: Added to the denominator, > 0.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization".
    """

    name: ClassVar[str] = "adam"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the running means of g and g^2")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's Adam, fused."""
        return torch.optim.Adam(
            parameters, lr=lr, betas=self.betas, eps=self.eps, weight_decay=weight_decay, fused=True
        )
