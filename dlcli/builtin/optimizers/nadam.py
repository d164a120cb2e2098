"""The optimizer `nadam`."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from dlcli import Optimizer, PerMember

Beta = Annotated[float, Field(ge=0, lt=1)]


class NAdam(Optimizer):
    """Adam with Nesterov's momentum; torch's NAdam: lr · (μ₊ m / (1 − Π μ₊) + (1 − μ) g / (1 − Π μ)) / (sqrt(v̂) + eps).

    m and v̂ are Adam's, g the gradient plus weight_decay · θ. μ at step t is β₁ (1 − 0.96^(t · momentum_decay) / 2),
    μ₊ that of step t + 1, and Π the product over all steps up to it.

    Args:
        lr: Learning rate, > 0; times the schedule's factor; torch's default.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient.
        betas: β₁ and β₂, each in [0, 1): how slowly the running means of g and g² forget.
        eps: Added to the denominator, > 0.
        momentum_decay: How quickly μ rises from β₁ / 2 to β₁, ≥ 0; 0 keeps it at β₁ / 2.

    Instead of `adam` where it oscillates. It has no fused form, so a step of a small network costs more than Adam's.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".
    """

    name: ClassVar[str] = "nadam"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    lr: PerMember = Field(2e-3, gt=0, description="learning rate, times the schedule's factor")
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the running means of g and g^2")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    momentum_decay: float = Field(4e-3, ge=0, description="how quickly the momentum rises to its full share")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's NAdam; it has no fused form."""
        return torch.optim.NAdam(
            parameters,
            lr=lr,
            betas=self.betas,
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            weight_decay=weight_decay,
            foreach=True,
        )
