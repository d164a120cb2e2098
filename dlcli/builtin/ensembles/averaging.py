"""Weights of several networks as one network's, and which networks that makes sense for."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dlcli import Context, Direction, MemberResult


def average(states: Sequence[Mapping[str, Tensor]], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the uniform average of networks' weights, computed in float64.

    Args:
        states: Their `state_dict`s, all with the names, shapes and dtypes of `like`; at least one.
        like: The one that tensors which are no floating-point numbers, such as counts of batches, are taken from.

    Returns:
        A `state_dict` with the dtypes of `like`.
    """
    averaged = {}
    for name, tensor in like.items():
        if tensor.is_floating_point():
            total = torch.zeros_like(tensor, dtype=torch.float64)
            for state in states:
                total += state[name]
            averaged[name] = (total / len(states)).to(tensor.dtype)
        else:
            averaged[name] = tensor.clone()
    return averaged


def need_one_structure(strategy: str, members: Sequence[MemberResult]) -> None:
    """Refuse networks whose weights cannot be averaged.

    Args:
        strategy: Who wants to.
        members: The networks; the first one is what the others are compared with.

    Raises:
        ValueError: One is no single network, or is built or preprocessed otherwise than the first.
    """
    for member in members:
        if not member.structure:
            raise ValueError(
                f"{strategy} averages weights, but {member.identity} is no single network; leave it out, or combine "
                'answers instead, as strategy = "voting" does'
            )
        if member.structure != members[0].structure:
            raise ValueError(
                f"{strategy} averages weights, but {member.identity} is built or preprocessed otherwise than "
                f'{members[0].identity}; leave it out, or combine answers instead, as strategy = "voting" does'
            )


def note_starts(context: Context, members: Sequence[MemberResult]) -> None:
    """Warn where networks of different trainings did not start from the same weights.

    Args:
        context: Tells the user.
        members: The networks; states of one training need no common start.
    """
    if len({member.specification for member in members}) == 1:
        return
    starts = {member.start for member in members}
    if len(starts) > 1 or "" in starts:
        context.note(
            f"the {len(members)} networks did not start from the same weights: an average of their weights is most "
            "likely worse than each of them; train them from one run (--from RUN), or average their answers (voting)"
        )


def best_first(members: Sequence[MemberResult], direction: Direction) -> list[MemberResult]:
    """Return networks by validation score, best first; those of equal score as they came, those without at the end."""
    sign = 1 if direction == "min" else -1
    return sorted(members, key=lambda member: (math.isnan(member.score), sign * member.score))
