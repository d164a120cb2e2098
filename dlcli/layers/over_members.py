"""Computing a function for several members at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


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
