"""Letting a component compute by what a file says, while it allocates no more than is fair."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

LARGEST_NUMBER = 16
"""Bytes of the largest number, which is complex."""


class OutOfBounds(Exception):
    """What was computed would have taken more than it may."""


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, torch refuses what would go beyond a number of bytes or of operations.

    An operation whose results may be too large is first asked for their shapes alone, on torch's meta device; values
    are real all the same, so that any component can be built or called.

    Args:
        size: Bytes that may be allocated in all, whether freed again or not.
        operations: How many operations there may be.
        purpose: What is done, for errors, such as `building the mlp`.
    """

    def __init__(self, size: int, operations: int, purpose: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size, self.operations, self.purpose = size, operations, purpose
        self._bytes_left, self._operations_left = size, operations

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler to say that this is not to be compiled, which takes longer than all the rest.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute one operation, unless it goes too far."""
        given = kwargs or {}
        self._operations_left -= 1
        if self._operations_left < 0:
            raise OutOfBounds(f"{self.purpose} takes more than {self.operations} operations")
        # Views and changes in place allocate nothing.
        if all(returned.alias_info is not None for returned in func._schema.returns):
            return func(*args, **given)
        if LARGEST_NUMBER * _estimate(func, args, given) > self._bytes_left:
            self._spend(_shapes(func, args, given), really=False)
        results = func(*args, **given)
        self._spend(results)
        return results

    def _spend(self, results: Any, *, really: bool = True) -> None:
        found = results if isinstance(results, tuple | list) else (results,)
        spent = sum(result.untyped_storage().nbytes() for result in found if isinstance(result, Tensor))
        if spent > self._bytes_left:
            raise OutOfBounds(f"{self.purpose} takes more than {self.size} bytes of memory")
        self._bytes_left -= spent if really else 0


def _shapes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return an operation's results without values; None where only their values tell their shapes."""
    arguments = {argument.name for argument in func._schema.arguments}
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, dict(kwargs)))
    if "device" in arguments:
        kwargs["device"] = "meta"
    if kwargs.get("generator") is not None:
        kwargs["generator"] = None
    try:
        return func(*args, **kwargs)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError):
        return None  # or it is wrong, which it will say itself


def _estimate(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Return how many numbers an operation makes at most, at little cost.

    The sizes of tensors as if broadcast, times all numbers that are sizes, times how many whole numbers there are,
    which may be indices of rows: enough for factories, arithmetic, products of matrices, convolutions and look-ups.
    """
    sizes: list[int] = []
    has_sizes = _has_sizes(func)
    factor = 1.0
    left: list[Any] = [*args, *kwargs.values()]
    while left:
        value = left.pop()
        if isinstance(value, Tensor) and not value.is_floating_point():
            factor *= max(value.numel(), 1)
        elif isinstance(value, Tensor):
            shape = value.shape[::-1]
            sizes += [1] * (len(shape) - len(sizes))
            for place, size in enumerate(shape):
                sizes[place] = max(sizes[place], size)
        elif isinstance(value, list | tuple):
            left += value
            factor *= len(value) if value and isinstance(value[0], Tensor) else 1
        elif isinstance(value, int | float) and has_sizes:
            factor *= max(abs(value), 1)
    return factor * math.prod(sizes)


@cache
def _has_sizes(func: Any) -> bool:
    """Return whether plain numbers among an operation's arguments say how large its results are."""
    types = [str(argument.type) for argument in func._schema.arguments]
    return any("int" in each.lower() for each in types) or not any("Tensor" in each for each in types)


def bytes_of(tensors: Sequence[Tensor]) -> int:
    """Return the bytes that tensors take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
