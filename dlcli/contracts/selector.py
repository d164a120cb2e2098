"""Which parameters of a network a regularizer, or `--freeze`, touches."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

WEIGHTS = "weights"
ALL = "all"


def select_parameters(module: nn.Module, selector: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the parameters that a selector matches, in `named_parameters` order.

    Args:
        module: One member's network, not a stack.
        selector: `weights` (tensors of two dimensions or more: no biases, no norms), `all`, or glob patterns over
            parameter names, such as `blocks.0.*`; several are joined by commas or given as a list.

    Returns:
        Names of the matching parameters; empty where nothing matches.
    """
    patterns = selector.split(",") if isinstance(selector, str) else list(selector)

    def matches(name: str, dimensions: int, pattern: str) -> bool:
        if pattern == WEIGHTS:
            return dimensions >= 2
        return pattern == ALL or fnmatchcase(name, pattern)

    return tuple(
        name
        for name, parameter in module.named_parameters()
        if any(matches(name, parameter.ndim, pattern.strip()) for pattern in patterns)
    )
