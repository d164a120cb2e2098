"""The steps of torch's fused Adam and AdamW without the Python around them, which costs a small network half a step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def fused_adam_step(optimizer: torch.optim.Optimizer) -> Callable[[], bool] | None:
    """Return what takes a step as the optimizer's own does, to the bit, from its second step on.

    Args:
        optimizer: Any.

    Returns:
        A function that takes a step and says True, or says False where the optimizer's own must take it: before its
        state is there, and where a parameter has no gradient. None where the optimizer is none of torch's fused Adams.
        The caller switches gradients off.
    """
    group = optimizer.param_groups[0]
    plain = not any(group.get(key) for key in ("amsgrad", "maximize", "capturable", "differentiable"))
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or not group.get("fused") or not plain:
        return None
    parameters: list[Tensor] = group["params"]
    if len(optimizer.param_groups) > 1 or len({(p.device, p.dtype) for p in parameters}) != 1:
        return None
    update: Any = torch._fused_adamw_ if group.get("decoupled_weight_decay") else torch._fused_adam_
    found: dict[str, Any] = {}

    def step() -> bool:
        gradients: list[Any] = [p.grad for p in parameters]
        if found.get("state") is not optimizer.state:
            if len(optimizer.state) < len(parameters):
                return False
            states = [optimizer.state[p] for p in parameters]
            names = ("exp_avg", "exp_avg_sq", "step")
            found.update({name: [state[name] for state in states] for name in names}, state=optimizer.state)
        if any(gradient is None for gradient in gradients):
            return False
        group = optimizer.param_groups[0]  # loading a state puts another in its place
        beta1, beta2 = group["betas"]
        torch._foreach_add_(found["step"], 1)
        update(
            parameters,
            gradients,
            found["exp_avg"],
            found["exp_avg_sq"],
            [],
            found["step"],
            amsgrad=False,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        return True

    return step
