"""Fitting how the targets of a regression are scaled, on training rows only."""

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import TargetScale


def fit_target_scale(dataset: Dataset, rows: Tensor) -> TargetScale:
    """Return mean and standard deviation of every target, over training rows and, per position, their valid positions.

    Computed in float64, as the population's (divided by N); a target that is always the same has the scale 1.

    Args:
        dataset: The data; its task is regression.
        rows: Training rows, int64; no other row is looked at.

    Returns:
        The scale, float32.
    """
    targets = dataset.tensors[dataset.target.name].index_select(0, rows)
    if dataset.per_position:
        targets = targets[_counted(dataset, rows, targets.shape[1])]
    deviation, mean = torch.std_mean(targets.double(), dim=0, correction=0)
    # What a sum of equal numbers leaves by rounding is no deviation.
    constant = deviation <= 1e-12 * mean.abs()
    return TargetScale(mean.float(), torch.where(constant, 1.0, deviation).float())


def _counted(dataset: Dataset, rows: Tensor, steps: int) -> Tensor:
    """Return which positions of rows count (R, T)."""
    for field in dataset.by_role("mask"):
        return dataset.tensors[field.name].index_select(0, rows).bool()
    for field in dataset.by_role("length"):
        return torch.arange(steps) < dataset.tensors[field.name].index_select(0, rows).unsqueeze(1)
    return torch.ones((len(rows), steps), dtype=torch.bool)
