"""The optimizer `sgd`."""

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from dlcli import Optimizer, PerMember


class SGD(Optimizer):
    """Stochastic gradient descent: b ← momentum · b + g + weight_decay · θ, θ ← θ − lr · b; torch's SGD.

    With `nesterov` the step is g + weight_decay · θ + momentum · b instead of b. The first b is the first gradient.

    Args:
        lr: Learning rate, > 0; times the schedule's factor.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient.
        momentum: Share of the last step that is kept, in [0, 1); 0 means none, 0.9 is usual.
        nesterov: Whether the step looks ahead along the momentum; needs momentum > 0.

    Raises:
        ValueError: `nesterov` without momentum.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    name: ClassVar[str] = "sgd"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    lr: PerMember = Field(1e-2, gt=0, description="learning rate, times the schedule's factor")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept; 0 means none")
    nesterov: bool = Field(False, description="look ahead along the momentum; needs momentum > 0")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "nesterov = true needs momentum > 0, got momentum = 0; set momentum, such as 0.9, or leave nesterov out"
            )
        return self

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's SGD, fused."""
        return torch.optim.SGD(
            parameters, lr=lr, momentum=self.momentum, nesterov=self.nesterov, weight_decay=weight_decay, fused=True
        )
