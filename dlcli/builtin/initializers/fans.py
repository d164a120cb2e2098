"""How many inputs and outputs a weight connects, which decides its scale."""

import math

from torch import Tensor


def fan_in(weight: Tensor) -> int:
    """Return how many inputs of a weight (out, in, …) an output has."""
    return math.prod(weight.shape[1:])


def fan_out(weight: Tensor) -> int:
    """Return how many outputs of a weight (out, in, …) an input has."""
    return weight.shape[0] * math.prod(weight.shape[2:])
