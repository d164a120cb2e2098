"""Scores kept row by row, for metrics of their order."""

from collections.abc import Callable

import torch
from torch import Tensor

Curve = Callable[[Tensor, Tensor, Tensor], Tensor]


def kept(output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Return scores (B, O), targets and weights, float64, whose order is that of the probabilities.

    Logits themselves where they are in that order: probabilities near 0 and 1 have fewer digits and tie.
    """
    scores = output.log_softmax(-1) if target.ndim == 1 else output
    return {"scores": scores, "target": target.to(weight.dtype), "weight": weight}


def macro(statistics: dict[str, Tensor], figure: Curve) -> Tensor:
    """Return the mean over classes or labels of a figure of each against the rest.

    Args:
        statistics: As `kept` gives them.
        figure: From distinct places: scores, falling, of each class (C, N), and the weights of rows that are the class
            and of those that are not, in that order (C, N) each; returns (C,), NaN where undefined.

    Returns:
        The mean over classes where it is defined, 0-d; NaN where it is nowhere, or a score is NaN.
    """
    weight = statistics["weight"]
    counts = weight > 0
    scores, target, weight = statistics["scores"][counts], statistics["target"][counts], weight[counts]
    if not len(scores) or scores.isnan().any():
        return weight.new_full((), torch.nan)
    true = target[:, None] == torch.arange(scores.shape[-1]) if target.ndim == 1 else target > 0
    places, order = (-scores.T).contiguous().sort(dim=-1)
    positive = (weight * true.T).gather(-1, order)
    return figure(places, positive, weight[order] - positive).nanmean()


def up_to(values: Tensor) -> Tensor:
    """Return running sums along the last dimension, from none to all: (…, N + 1)."""
    return torch.cat([values.new_zeros(*values.shape[:-1], 1), values.cumsum(-1)], -1)
