"""Figures over rows: the loss and the metrics, in eval mode, accumulated batch by batch in float64."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric, Statistics
from dlcli.contracts.task import Task, probabilities
from dlcli.training.objective import position_mask, weighted_sum


def forward(network: Callable[..., Tensor], inputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """Return the network's outputs for a batch, its offset added."""
    extra: dict[str, object] = {}
    if batch.conditions:
        extra["conditions"] = batch.conditions
    if batch.lengths is not None:
        extra["lengths"] = batch.lengths
    if batch.mask is not None:
        extra["mask"] = batch.mask
    output = network(*inputs, **extra)
    return output if batch.offset is None else output + batch.offset


class Figures:
    """The loss and the metrics of one model, gathered over batches.

    Args:
        metrics: By name.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics
        self._total = self._weight = 0.0
        self._statistics: dict[str, list[Statistics]] = {name: [] for name in metrics}

    def add(self, total: float, weight: float, statistics: Mapping[str, Statistics]) -> None:
        """Take a batch in: Σ w·ℓ, Σ w, and the statistics of each metric."""
        self._total, self._weight = self._total + total, self._weight + weight
        for name, found in statistics.items():
            self._statistics[name].append(found)

    def compute(self) -> dict[str, float]:
        """Return `loss` and each metric, by name; NaN where undefined."""
        figures = {"loss": self._total / self._weight if self._weight else math.nan}
        for name, metric in self._metrics.items():
            parts = self._statistics[name]
            figures[name] = float(metric.compute(_joined(metric, parts))) if parts else math.nan
        return figures


def evaluate(
    network: nn.Module, batches: Iterable[Batch], *, task: Task, loss: Loss, metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """Evaluate a network on batches.

    Args:
        network: Any module that takes a batch's inputs; it is left in the mode in which it came.
        batches: The rows, in any split into batches: the figures do not depend on it.
        task: How outputs become probabilities.
        loss: Reported as `loss`, without penalties.
        metrics: By name.

    Returns:
        `loss` and each metric, by name; NaN where undefined.
    """
    was_training = network.training
    network.eval()
    figures = Figures(metrics)
    try:
        with torch.no_grad():
            for batch in batches:
                output = forward(network, batch.inputs, batch)
                part, part_weight = weighted_sum(loss, output, batch.target, batch)
                said = loss.prediction(output)
                figures.add(float(part), float(part_weight), statistics_of(metrics, said, batch, task))
    finally:
        network.train(was_training)
    return figures.compute()


def statistics_of(metrics: Mapping[str, Metric], output: Tensor, batch: Batch, task: Task) -> dict[str, Statistics]:
    """Return each metric's statistics of a batch; positions are flattened into rows, padding left out.

    Args:
        metrics: By name.
        output: (B, O) or (B, T, O): what the loss takes for the prediction.
        batch: Its target, weights, mask and lengths count.
        task: How outputs become probabilities.

    Returns:
        Statistics in float64 on the CPU, by the metric's name.
    """
    if not metrics:
        return {}
    output, target = output.cpu().double(), batch.target.cpu()
    weight = output.new_ones(len(output)) if batch.weight is None else batch.weight.cpu().double()
    if output.ndim == 3:
        mask = position_mask(batch, output.shape[1])
        kept = torch.ones(output.shape[:2], dtype=torch.bool) if mask is None else mask.cpu().bool()
        output, target, weight = output[kept], target[kept], weight.unsqueeze(1).expand(kept.shape)[kept]
    predicted = probabilities(output, task)
    return {
        name: metric.update(predicted if metric.needs_probabilities else output, target, weight)
        for name, metric in metrics.items()
    }


def _joined(metric: Metric, parts: list[Statistics]) -> Statistics:
    join = torch.cat if metric.concatenates else _added
    return {key: join([part[key] for part in parts]) for key in parts[0]}


def _added(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(dim=0)
