"""Outputs of several networks as one output that reads as a network's."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlcli.contracts.task import Task

LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that no output is infinite."""


class MeanOfMembers(nn.Module):
    """The mean of members' probabilities, as outputs; the mean of their outputs for regression.

    A single member's outputs are returned as they are.

    Args:
        task: How outputs are read.
        weights: Weight of every member (M,), ≥ 0 with a positive sum; they are scaled to sum to 1. None: all alike.

    Shape:
        Members' outputs (M, B, …, O) in; out come (B, …, O): log-probabilities for multiclass, log-odds for binary and
        multilabel, targets for regression. Probabilities are clamped to [1e-7, 1 − 1e-7].
    """

    def __init__(self, task: Task, weights: Tensor | None = None) -> None:
        super().__init__()
        self.task = task
        self.weights: Tensor | None
        self.register_buffer("weights", None if weights is None else weights.double() / weights.double().sum())

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the combined outputs."""
        if len(outputs) == 1:
            return outputs[0]
        if not self.task.classifies:
            return self._mean(outputs)
        if self.task is Task.MULTICLASS:
            return outputs_from(self._mean(functional.log_softmax(outputs, dim=-1).exp()), self.task)
        # From both sides, because 1 − p of a p near 1 has no digits left in float32. Not by `torch.sigmoid`, which
        # onnxruntime computes to 1e-7 at best: too little for the logarithm of a small probability.
        yes, no = self._mean(1 / (1 + torch.exp(-outputs))), self._mean(1 / (1 + torch.exp(outputs)))
        return _clamped(yes).log() - _clamped(no).log()

    def _mean(self, values: Tensor) -> Tensor:
        if self.weights is None:
            return values.mean(dim=0)
        mean: Tensor = torch.tensordot(self.weights.to(values.dtype), values, dims=([0], [0]))
        return mean


def outputs_from(probabilities: Tensor, task: Task) -> Tensor:
    """Return outputs that read as given probabilities.

    Args:
        probabilities: (B, …, O), one column for binary; they are clamped to [1e-7, 1 − 1e-7]. For regression targets.
        task: How outputs are read.

    Returns:
        Log-probabilities for multiclass, log-odds for binary and multilabel, targets for regression.
    """
    if not task.classifies:
        return probabilities
    clamped = _clamped(probabilities)
    return clamped.log() if task is Task.MULTICLASS else clamped.log() - torch.log1p(-clamped)


def _clamped(values: Tensor) -> Tensor:
    return values.clamp(LEAST, 1 - LEAST)
