"""Values that several members have each, as tensors with a member axis in front, and rules for families of operations.

A rule takes an operation and its arguments, of which at least one is `Members`, and returns the result, or
`NotImplemented` where it does not cover them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

Operation = Callable[..., Any]
"""An operation of torch, `torch.ops.aten.…`."""


@dataclass(frozen=True)
class Members:
    """A value that differs between members.

    Args:
        tensor: (M, *shape of one member's value).
    """

    tensor: Tensor

    @property
    def count(self) -> int:
        """Number of members M."""
        return int(self.tensor.shape[0])

    @property
    def rank(self) -> int:
        """Number of dimensions of one member's value."""
        return self.tensor.ndim - 1


def over(value: Any, rank: int) -> Any:
    """Return a value that broadcasts against those of a rank: members' dimensions aligned at the last one."""
    if not isinstance(value, Members):
        return value
    tensor = value.tensor
    for _ in range(rank - value.rank):
        tensor = tensor.unsqueeze(1)
    return tensor


def ranks(values: Any) -> int:
    """Return the largest number of dimensions of one member's values among some, at any depth."""
    leaves = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Members | Tensor)]
    return max(leaf.rank if isinstance(leaf, Members) else leaf.ndim for leaf in leaves)


def of_each(value: Members | Tensor, count: int) -> Tensor:
    """Return a value (M, …) with a member axis, also where all `count` members share it."""
    return value.tensor if isinstance(value, Members) else value.unsqueeze(0).expand(count, *value.shape)


def pointwise(target: Operation, *args: Any, **kwargs: Any) -> Any:
    """Operations on each element: shapes broadcast as they do for one member."""
    rank = ranks((args, kwargs))

    def aligned(value: Members) -> Any:
        return over(value, rank)

    own_args, own_kwargs = pytree.tree_map_only(Members, aligned, (args, kwargs))
    return pytree.tree_map_only(Tensor, Members, target(*own_args, **own_kwargs))


def on_rows(target: Operation, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Operations that treat each row, along the first dimension, alike: members' rows are laid end to end."""
    if not isinstance(x, Members) or x.rank < 2 or has_members((args, kwargs)):
        return NotImplemented
    return split_rows(target(x.tensor.flatten(0, 1), *args, **kwargs), x.count)


def split_rows(results: Any, count: int) -> Any:
    """Return tensors (M·B, …), at any depth, as values of M members."""

    def split(tensor: Tensor) -> Members:
        return Members(tensor.reshape(count, -1, *tensor.shape[1:]))

    return pytree.tree_map_only(Tensor, split, results)


def has_members(values: Any) -> bool:
    """Return whether any value, at any depth, differs between members."""
    return any(isinstance(leaf, Members) for leaf in pytree.tree_leaves(values))


_DIMENSIONS = ("dim", "dims", "dim0", "dim1", "start_dim", "end_dim")


def shifted(target: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Operations along dimensions that they name: counted from the front, these are one further back."""
    if not isinstance(x, Members) or has_members((args, kwargs)):
        return NotImplemented
    arguments = target._schema.arguments[1:]
    named = {**{a.name: a.default_value for a in arguments if a.has_default_value()}}
    named |= dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
    for name in _DIMENSIONS:
        value = named.get(name)
        if isinstance(value, int):
            named[name] = value + 1 if value >= 0 else value
        elif isinstance(value, list | tuple) and value:
            named[name] = [one + 1 if one >= 0 else one for one in value]
        elif name in named:  # None or nothing: all of them
            return NotImplemented
    if not set(named) & set(_DIMENSIONS):
        return NotImplemented
    return pytree.tree_map_only(Tensor, Members, target(x.tensor, **named))


def permute(target: Operation, x: Members, dims: Sequence[int]) -> Members:
    """Dimensions in another order; that of members stays in front."""
    return Members(x.tensor.permute(0, *(dim % x.rank + 1 for dim in dims)))


def reshape(target: Operation, x: Members, size: Sequence[int], **_: Any) -> Members:
    """Another shape of each member's value."""
    return Members(x.tensor.reshape(x.count, *size))


def expand(target: Operation, x: Members, size: Sequence[int], **_: Any) -> Members:
    """Dimensions of size 1 repeated."""
    return Members(over(x, len(size)).expand(-1, *size))


def join(target: Operation, tensors: Sequence[Any], dim: int = 0) -> Any:
    """Concatenated or stacked; what all members share is repeated for each."""
    count = next(one.count for one in tensors if isinstance(one, Members))
    each = [of_each(one, count) for one in tensors]
    return Members(target(each, dim + 1 if dim >= 0 else dim))
