"""Weights of members, ≥ 0 and of sum 1, that fit their weighted mean to targets: both problems are convex."""

import torch
from torch import Tensor

from dlcli import Task, probabilities

TOLERANCE = 1e-5
"""How far a fit may be from the best one: in nats, or relative to the mean squared error of equal weights."""
ITERATIONS = 20_000
LEAST = 1e-7


def mixture_weights(outputs: Tensor, target: Tensor, task: Task) -> Tensor:
    """Return the weights that maximise the mean over rows and labels of log Σₘ wₘ pₘ(y), from equal ones, by EM.

    A step is wₘ ← wₘ gₘ with gₘ = mean of pₘ(y) / Σₖ wₖ pₖ(y). By concavity max gₘ − 1 bounds what can still be
    gained, and ends it at 1e-5 nats.

    Args:
        outputs: Members' outputs (M, R, O).
        target: Targets of the rows, as losses take them.
        task: How outputs are read; not regression.

    Returns:
        Weights (M,), float64.
    """
    likelihood = _of_truth(outputs.double(), target, task).clamp_min(LEAST)
    weights = torch.full((len(outputs),), 1 / len(outputs), dtype=torch.float64)
    for _ in range(ITERATIONS):
        gains = (likelihood / (weights @ likelihood)).mean(dim=1)
        if gains.max() - 1 <= TOLERANCE:
            break
        weights = weights * gains
        weights = weights / weights.sum()
    return weights


def _of_truth(outputs: Tensor, target: Tensor, task: Task) -> Tensor:
    """Return every member's probability of what is true, (M, R) or, for every label, (M, R · L)."""
    if task is Task.MULTICLASS:
        index = target.long()[None, :, None].expand(len(outputs), -1, 1)
        return probabilities(outputs, task).gather(-1, index).squeeze(-1)
    return torch.sigmoid(outputs * (2 * target.double() - 1)).flatten(1)


def least_squares_weights(outputs: Tensor, target: Tensor, task: Task) -> Tensor:
    """Return the weights that minimise the mean squared error of the weighted mean, from equal ones.

    With E the members' errors it is wᵀ (E Eᵀ) w. A step moves weight from the member with the largest derivative to
    the one with the smallest, as far as the error falls.

    Args:
        outputs: Members' outputs (M, R, O).
        target: Targets (R, O).
        task: Regression.

    Returns:
        Weights (M,), float64.
    """
    errors = (outputs.double() - target.double()).flatten(1)
    products = errors @ errors.T / errors.shape[1]
    weights = torch.full((len(outputs),), 1 / len(outputs), dtype=torch.float64)
    tolerance = TOLERANCE * float(weights @ products @ weights)
    for _ in range(ITERATIONS):
        slope = products @ weights
        if float(slope @ weights - slope.min()) <= tolerance:  # half of what, by convexity, can still be gained
            break
        to = int(slope.argmin())
        source = int(slope.where(weights > 0, -torch.inf).argmax())
        curvature = products[to, to] + products[source, source] - 2 * products[to, source]
        moved = min(float((slope[source] - slope[to]) / curvature), float(weights[source]))
        weights[to] += moved
        weights[source] -= moved
    return weights.clamp_min(0)
