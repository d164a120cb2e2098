"""The optimizer `adamw`."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from dlcli import Optimizer, PerMember

Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Optimizer):
    """Adam with decoupled weight decay: θ ← θ − lr · weight_decay · θ, then Adam's step; torch's AdamW.

    The decay does not pass through Adam's denominator, so it shrinks every parameter by the same share a step.

    Args:
        lr: Learning rate, > 0; times the schedule's factor.
        weight_decay: Decoupled weight decay, ≥ 0; torch's default.
        betas: β₁ and β₂, each in [0, 1): how slowly the running means of g and g² forget.
        eps: Added to the denominator, > 0.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    """

    name: ClassVar[str] = "adamw"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "decoupled"

    weight_decay: PerMember = Field(1e-2, ge=0, description="decoupled weight decay; biases and norms decay too")
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the running means of g and g^2")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's AdamW, fused."""
        return torch.optim.AdamW(
            parameters, lr=lr, betas=self.betas, eps=self.eps, weight_decay=weight_decay, fused=True
        )
