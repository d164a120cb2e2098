"""An ensemble against its members on the same rows: gain, diversity, calibration, temperature."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.contracts.metric import Metric
from dlcli.contracts.task import Task
from dlcli.experiment.models.combination import Tempered
from dlcli.experiment.models.outputs import figures_of
from dlcli.registry import Registry
from dlcli.report.ensemble_outcome import Calibration, Comparison, Gain
from dlcli.training.objective import sample_weights

CALIBRATION = ("nll", "brier", "ece")
STEPS = 40
"""Steps of the search for a temperature: each leaves 0.62 of the interval."""
LARGEST, EDGE = 6.0, 0.01
"""The logarithm of a temperature is sought between −6 and 6."""


def row_losses(outputs: Tensor, judge: Member, batches: Batches, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of every row and its weight, in float64.

    Args:
        outputs: Outputs for the rows (R, …, O), on the CPU.
        judge: Whose loss counts.
        batches: The dataset.
        rows: Rows of it, int64 (R,).

    Returns:
        Losses (R,), of rows with positions their weighted mean, and weights (R,).
    """
    losses, weights, first = [], [], 0
    for batch in batches.evaluation(judge, rows):
        part = outputs[first : first + len(batch.target)].to(batch.target.device)
        first += len(part)
        values = judge.loss.values(part, batch.target).double()
        found = sample_weights(judge.loss, values, batch.target, batch)
        own = torch.ones_like(values) if found is None else found
        if values.ndim == 2:
            values, own = (values * own).sum(dim=1) / own.sum(dim=1).clamp_min(1e-300), own.sum(dim=1)
        losses.append(values.cpu())
        weights.append(own.cpu())
    return torch.cat(losses), torch.cat(weights)


def gain(other: Tensor, own: Tensor, weights: Tensor) -> Gain:
    """Return how much smaller one loss is than another on the same rows.

    Args:
        other: Loss of every row (R,).
        own: The loss that is hoped to be smaller (R,).
        weights: Weight of every row (R,).

    Returns:
        Σ w d / Σ w of the differences d, and its standard error √(n/(n − 1) Σ w² (d − mean)²) / Σ w.
    """
    difference, total = other - own, weights.sum()
    mean = (weights * difference).sum() / total
    count = int((weights > 0).sum())
    if count < 2:
        return Gain(float(mean), math.nan)
    squares = ((weights * (difference - mean)) ** 2).sum() * count / (count - 1)
    return Gain(float(mean), float(squares.sqrt() / total))


def compare(
    ensemble: Tensor,
    members: Mapping[str, Tensor],
    best_member: str,
    judge: Member,
    batches: Batches,
    rows: Tensor,
    split: Literal["test", "val"],
) -> tuple[Comparison, dict[str, dict[str, float]]]:
    """Compare an ensemble with its members.

    Args:
        ensemble: Its outputs on the rows (R, …, O).
        members: Outputs of each member, by identity.
        best_member: Which is the best by its score on validation rows.
        judge: Whose loss and metrics count.
        batches: The dataset.
        rows: The rows, int64 (R,).
        split: What they are called.

    Returns:
        The comparison, and the figures of each member.
    """
    figures = {identity: figures_of(outputs, judge, batches, rows) for identity, outputs in members.items()}
    own, weights = row_losses(ensemble, judge, batches, rows)
    losses = {identity: row_losses(outputs, judge, batches, rows)[0] for identity, outputs in members.items()}
    names = next(iter(figures.values()))
    mean = {name: sum(values[name] for values in figures.values()) / len(figures) for name in names}
    stacked = torch.stack(list(members.values()))
    target = torch.cat([batch.target.cpu() for batch in batches.evaluation(judge, rows)])
    comparison = Comparison(
        split=split,
        rows=len(rows),
        ensemble=figures_of(ensemble, judge, batches, rows),
        best_member=best_member,
        best=figures[best_member],
        mean=mean,
        gain_on_best=gain(losses[best_member], own, weights),
        gain_on_mean=gain(torch.stack(list(losses.values())).mean(dim=0), own, weights),
        disagreement=disagreement(stacked, judge.io.task),
        error_correlation=error_correlation(judge.loss.prediction(stacked), target, judge.io.task),
    )
    return comparison, figures


def disagreement(outputs: Tensor, task: Task) -> float | None:
    """Return the share of rows on which two members' classes differ, mean over pairs; of labels mean over labels.

    Args:
        outputs: Members' outputs (M, R, …, O).
        task: How outputs are read.

    Returns:
        In [0, 1]; None for regression, and for one member.
    """
    count = len(outputs)
    if not task.classifies or count < 2:
        return None
    if task is Task.MULTICLASS:
        votes = functional.one_hot(outputs.argmax(dim=-1), outputs.shape[-1]).sum(dim=0).double()
    else:
        yes = (outputs > 0).sum(dim=0).double()
        votes = torch.stack([yes, count - yes], dim=-1)
    agreeing = (votes * (votes - 1)).sum(dim=-1) / (count * (count - 1))
    return float(1 - agreeing.mean())


def error_correlation(outputs: Tensor, target: Tensor, task: Task) -> float | None:
    """Return the correlation of two members' errors, mean over the pairs where it is defined.

    Args:
        outputs: Members' outputs (M, R, …, O).
        target: The targets.
        task: An error is 1 where a class or label is wrong, for regression the residual.

    Returns:
        In [−1, 1]; None where fewer than two members' errors vary.
    """
    if task is Task.MULTICLASS:
        errors = (outputs.argmax(dim=-1) != target).double()
    elif task.classifies:
        errors = ((outputs > 0) != (target > 0)).double()
    else:
        errors = outputs.double() - target.double()
    flat = errors.flatten(1)
    flat = flat[flat.std(dim=1) > 0]
    if len(flat) < 2:
        return None
    correlations = torch.corrcoef(flat)
    return float((correlations.sum() - len(flat)) / (len(flat) * (len(flat) - 1)))


def calibration(outputs: Tensor, judge: Member, batches: Batches, rows: Tensor, registry: Registry) -> Calibration:
    """Return how well the probabilities of outputs can be believed."""
    metrics = {name: registry.component(Metric, f"dlcli:{name}") for name in CALIBRATION}
    figures = figures_of(outputs, replace(judge, metrics=metrics), batches, rows)
    return Calibration(**{name: figures[name] for name in CALIBRATION})


def fit_temperature(outputs: Tensor, judge: Member, batches: Batches, rows: Tensor) -> float | None:
    """Return the temperature whose outputs have the least negative log-likelihood on rows.

    Golden-section search over log T: the negative log-likelihood is convex in 1/T, so it has one minimum.

    Args:
        outputs: Outputs (R, O) for the rows.
        judge: Whose task counts; one with classes.
        batches: The dataset.
        rows: The rows, int64 (R,).

    Returns:
        T; None where it would lie beyond [e⁻⁶, e⁶]: where every answer is right, or no better than chance.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2.
    """
    task, wide = judge.io.task, outputs.double()
    found = list(batches.evaluation(judge, rows))
    target = torch.cat([batch.target.cpu() for batch in found])
    weights = torch.cat([torch.ones(len(b.target)) if b.weight is None else b.weight.cpu() for b in found]).double()

    def loss(logarithm: float) -> float:
        tempered = Tempered(math.exp(logarithm), task)(wide)
        if task is Task.MULTICLASS:
            each = functional.nll_loss(tempered, target.long(), reduction="none")
        else:
            each = functional.binary_cross_entropy_with_logits(tempered, target.double(), reduction="none").mean(dim=-1)
        return float((weights * each).sum() / weights.sum())

    ratio = (math.sqrt(5) - 1) / 2
    low, high = -LARGEST, LARGEST
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    middle = (low + high) / 2
    return None if abs(middle) > LARGEST - EDGE else math.exp(middle)
