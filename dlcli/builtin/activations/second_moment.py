"""The gain of activations whose size depends on a parameter."""

import math
from collections.abc import Callable

LIMIT, STEPS = 12.0, 2400


def second_moment_gain(function: Callable[[float], float]) -> float:
    """Return 1 / sqrt(E f(z)²) for z ~ N(0, 1), by the trapezoidal rule, which is exact to 1e-5 for what we have.

    Args:
        function: f, of one number.

    Returns:
        The gain.
    """
    step = 2 * LIMIT / STEPS
    points = [-LIMIT + step * place for place in range(STEPS + 1)]
    total = sum(function(z) ** 2 * math.exp(-z * z / 2) for z in points)
    return 1 / math.sqrt(total * step / math.sqrt(2 * math.pi))


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e^-x), for any x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
