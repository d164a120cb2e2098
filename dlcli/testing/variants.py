"""Members of one stack that differ in their per-member numbers."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dlcli.testing.law import Case, assert_close, assert_finite

MEMBERS = 3


def variants(case: Case) -> list[dict[str, float]]:
    """Return per-member numbers for three members: 0, the default, and twice the default.

    A value that its field refuses is replaced by half the default; for a default of 0 the others are 1 and a half.

    Args:
        case: The component.

    Returns:
        For every member its numbers by dotted path; empty tables where the component has none.
    """
    options = {path: _options(case, path, number) for path, number in case.component.per_member().items()}
    return [{path: numbers[member % len(numbers)] for path, numbers in options.items()} for member in range(MEMBERS)]


def _options(case: Case, path: str, default: float) -> list[float]:
    wanted = [0.0, default, 2 * default, default / 2] if default else [0.0, 1.0, 0.5]
    allowed = [number for number in wanted if _accepts(case, path, number)][:MEMBERS]
    assert len(allowed) > 1, f"{case.label}: per-member field {path} accepts {allowed} of {wanted}: it cannot differ"
    return allowed


def _accepts(case: Case, path: str, number: float) -> bool:
    table = copy.deepcopy(case.registry.dump(case.component))
    *owners, field = path.split(".")
    inner: dict[str, Any] = table
    for owner in owners:
        inner = inner[owner]
    inner[field] = number
    try:
        case.registry.resolve(case.kind, table)
    except ValueError:
        return False
    return True


def assert_stacks(case: Case, call: Callable[..., Any], *arguments: Any) -> None:
    """Fail unless members computed together, under vmap, give what each gives alone.

    Args:
        case: The component.
        call: Takes a copy of the component with a member's own numbers, and one member's slice of `arguments`;
            returns tensors, in a tuple or dictionary where there are several.
        *arguments: Tensors, or dictionaries or tuples of tensors, with a leading dimension of three members.
    """
    component, numbers = case.component, variants(case)
    stacked = {path: torch.tensor([member[path] for member in numbers]) for path in numbers[0]}

    def one(values: Mapping[str, Tensor], *slices: Any) -> Any:
        return call(component.with_per_member(values), *slices)

    together = torch.vmap(one)(stacked, *arguments)
    for place, values in enumerate(numbers):
        pick = pytree.tree_map(lambda value, place=place: value[place], (arguments, together))
        alone = call(component.with_per_member(values), *pick[0])
        for expected, actual in zip(pytree.tree_leaves(alone), pytree.tree_leaves(pick[1]), strict=True):
            message = f"{case.label} with {values or 'its defaults'}: under vmap it differs from itself alone"
            assert_close(actual, expected, message)
            assert_finite(actual, f"{case.label} with {values or 'its defaults'}")
