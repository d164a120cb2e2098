"""The optimizer `rmsprop`."""

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field

from dlcli import Optimizer, PerMember


class RMSprop(Optimizer):
    """Steps of lr · g / (sqrt(v) + eps), with v ← α v + (1 − α) g² a running mean; torch's RMSprop.

    g is the gradient plus weight_decay · θ. With momentum: b ← momentum · b + g / (sqrt(v) + eps), θ ← θ − lr · b.

    Args:
        lr: Learning rate, > 0; times the schedule's factor; torch's default.
        weight_decay: Coupled weight decay, ≥ 0: added to the gradient.
        alpha: α, how slowly the running mean of g² forgets, in [0, 1).
        eps: Added to the denominator, > 0.
        momentum: Share of the last step that is kept, in [0, 1); 0 means none.
        centered: Whether the squared running mean of g is taken off v, so that v is a variance.

    For recurrent networks and reinforcement learning. The running mean starts at 0 and is not corrected for it: the
    first steps are up to 1 / sqrt(1 − α) times too long, so warm up or take `adam` where training starts unsteadily.

    Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, "Generating sequences with recurrent neural
    networks".
    """

    name: ClassVar[str] = "rmsprop"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "coupled"

    lr: PerMember = Field(1e-2, gt=0, description="learning rate, times the schedule's factor")
    alpha: float = Field(0.99, ge=0, lt=1, description="decay of the running mean of g^2")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept; 0 means none")
    centered: bool = Field(False, description="divide by the standard deviation of g instead of its root mean square")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build torch's RMSprop; it has no fused form."""
        return torch.optim.RMSprop(
            parameters,
            lr=lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            centered=self.centered,
            weight_decay=weight_decay,
            foreach=True,
        )
