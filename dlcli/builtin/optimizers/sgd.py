"""The optimizer `sgd`."""

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from dlcli import Optimizer, PerMember


class SGD(Optimizer):
    """Stochastic gradient descent: b ← momentum · b + (1 − dampening) · g, θ ← θ − lr · b; torch's SGD.

    g is the gradient plus weight_decay · θ. With `nesterov` the step is g + momentum · b instead of b. The first b is
    the first g.

    Args:
        lr: Learning rate, > 0; times the schedule's factor.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient.
        momentum: Share of the last step that is kept, in [0, 1); 0 means none, 0.9 is usual.
        dampening: Share of the gradient that does not enter the momentum, in [0, 1]; needs momentum > 0. With the
            momentum's own value b is a running mean of g.
        nesterov: Whether the step looks ahead along the momentum; needs momentum > 0 and no dampening.

    Raises:
        ValueError: `nesterov` or `dampening` without momentum, or both at once.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    name: ClassVar[str] = "sgd"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    lr: PerMember = Field(1e-2, gt=0, description="learning rate, times the schedule's factor")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept; 0 means none")
    dampening: float = Field(
        0.0, ge=0, le=1, description="share of the gradient that stays out of the momentum; needs momentum > 0"
    )
    nesterov: bool = Field(False, description="look ahead along the momentum; needs momentum > 0")

    @model_validator(mode="after")
    def _has_momentum(self) -> Self:
        for key, value, text in (("nesterov", self.nesterov, "true"), ("dampening", self.dampening, self.dampening)):
            if value and self.momentum == 0:
                raise ValueError(
                    f"{key} = {text} needs momentum > 0, got momentum = 0; "
                    f"set momentum, such as 0.9, or leave {key} out"
                )
        if self.nesterov and self.dampening:
            raise ValueError(
                f"nesterov = true needs dampening = 0, got dampening = {self.dampening:g}; leave one of them out"
            )
        return self

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's SGD, fused."""
        return torch.optim.SGD(
            parameters,
            lr=lr,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            weight_decay=weight_decay,
            fused=True,
        )
