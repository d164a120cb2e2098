"""Computing a function for several members at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def one_at_a_time(network: nn.Module) -> str | None:
    """Return, in words, why the networks of several members cannot be computed together; None where they may be.

    That is known of torch's recurrent modules, which vmap would find out late, with warnings on the way.
    """
    for module in network.modules():
        if isinstance(module, nn.RNNBase | nn.LSTMCell):
            return f"torch computes the {type(module).__name__} of one network at a time"
    return None


def over_members(function: Callable[..., Any], *tensors: Any, in_dims: Any = 0) -> Any:
    """Map a function over the members of stacked tensors.

    Args:
        function: Of one member's tensors.
        *tensors: Stacked tensors, (M, …), or tables of them.
        in_dims: As of `torch.vmap`: the dimension of members, None for what they share.

    Returns:
        What the function returns, stacked.
    """
    # Of the kernels of attention, vmap knows only the one that is made of other operations.
    with sdpa_kernel(SDPBackend.MATH):
        return torch.vmap(function, in_dims=in_dims)(*tensors)
