"""The optimizer `lion`."""

from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dlcli import Optimizer, PerMember

Beta = Annotated[float, Field(ge=0, lt=1)]


class Lion(Optimizer):
    """Steps of one length in every parameter: θ ← θ − lr · (sign(β₁ m + (1 − β₁) g) + weight_decay · θ).

    m ← β₂ m + (1 − β₂) g afterwards, from 0. It keeps one number a parameter, where Adam keeps two.

    Args:
        lr: Learning rate, > 0; times the schedule's factor. A step moves every parameter by all of it: take a third to
            a tenth of AdamW's.
        weight_decay: Decoupled weight decay, ≥ 0; take three to ten times AdamW's, since it is multiplied by lr.
        betas: β₁, the momentum's share in the step, and β₂, how slowly the momentum forgets, each in [0, 1).

    For large batches and long trainings. With small batches the gradient's noise decides the signs, and a parameter
    whose true gradient is 0 wanders by lr a step.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv 2302.06675.
    """

    name: ClassVar[str] = "lion"
    decay: ClassVar[Literal["coupled", "decoupled", "none"]] = "decoupled"

    lr: PerMember = Field(1e-4, gt=0, description="learning rate, times the schedule's factor")
    betas: tuple[Beta, Beta] = Field((0.9, 0.99), description="share of the momentum in the step, and its decay")

    def build(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Build it; torch has none."""
        return SignMomentum(parameters, lr, self.betas, weight_decay)


class SignMomentum(torch.optim.Optimizer):
    """Lion as an optimizer of torch's form, many parameters at once.

    Args:
        parameters: What to train.
        lr: Learning rate.
        betas: The momentum's share in the step, and how slowly it forgets.
        weight_decay: Decoupled weight decay.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; parameters without a gradient stay where they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
            if not moved:
                continue
            for parameter in moved:
                if not self.state[parameter]:
                    self.state[parameter]["exp_avg"] = torch.zeros_like(parameter)
            momenta: list[Tensor] = [self.state[parameter]["exp_avg"] for parameter in moved]
            beta1, beta2 = group["betas"]
            directions = torch._foreach_lerp(momenta, gradients, 1 - beta1)
            torch._foreach_sign_(directions)
            if group["weight_decay"]:
                torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(moved, directions, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - beta2)
        return loss
