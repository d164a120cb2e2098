"""What one step makes small: the loss of a batch, reduced as every engine must, plus the penalties."""

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.loss import Loss


def position_mask(batch: Batch, steps: int) -> Tensor | None:
    """Return which positions of a batch count (B, T), from its mask or its lengths; None where all do."""
    if batch.mask is not None:
        return batch.mask
    if batch.lengths is not None:
        return torch.arange(steps, device=batch.lengths.device) < batch.lengths.unsqueeze(1)
    return None


def row_weights(batch: Batch) -> Tensor:
    """Return what each row of a batch counts (B,)."""
    return torch.ones(len(batch.target), device=batch.target.device) if batch.weight is None else batch.weight


def sample_weights(loss: Loss, values: Tensor, target: Tensor, batch: Batch) -> Tensor | None:
    """Return w · row · mask of every value, shaped like the values; None where every one is 1.

    Args:
        loss: May weigh samples by their target.
        values: (B,) or (B, T), the loss of every sample.
        target: What the values are of.
        batch: Carries row weights, mask and lengths.

    Returns:
        Weights (B,) or (B, T), or None.
    """
    factors = []
    if (own := loss.weights(target)) is not None:
        factors.append(own)
    if batch.weight is not None:
        factors.append(batch.weight if values.ndim == 1 else batch.weight.unsqueeze(1))
    if values.ndim == 2 and (mask := position_mask(batch, values.shape[1])) is not None:
        factors.append(mask.to(values.dtype))
    if not factors:
        return None
    weights = torch.ones_like(values)
    for factor in factors:
        weights = weights * factor
    return weights


def weighted_sum(loss: Loss, output: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return Σ w·ℓ and Σ w of a batch, two 0-d tensors."""
    values = loss.values(output, target)
    weights = sample_weights(loss, values, target, batch)
    if weights is None:
        return values.sum(), torch.full((), values.numel(), dtype=values.dtype, device=values.device)
    # A filler row may hold anything, infinity included: 0 · inf must not become NaN.
    return torch.where(weights == 0, 0.0, weights * values).sum(), weights.sum()


def batch_weight(
    loss: Loss, targets: tuple[Tensor, ...], mix: Tensor | None, batch: Batch, *, per_position: bool
) -> Tensor:
    """Return Σ w · row · mask of a batch, 0-d, which `batch_loss` divides by; known before outputs are.

    Args:
        loss: May weigh samples by their target.
        targets: One target, or two that were mixed.
        mix: Share of the first target, 0-d or (B,); None where there is one.
        batch: Carries row weights, mask and lengths.
        per_position: Whether there is a target for each of T positions.

    Returns:
        The sum, float32.
    """
    values = torch.zeros(targets[0].shape[: 2 if per_position else 1], device=targets[0].device)
    found = [sample_weights(loss, values, target, batch) for target in targets]
    each = [torch.ones_like(values) if weights is None else weights for weights in found]
    if mix is None:
        return each[0].sum()
    share = mix if mix.ndim == 0 or values.ndim == 1 else mix.unsqueeze(1)
    return (share * each[0] + (1 - share) * each[1]).sum()


def batch_loss(
    loss: Loss,
    output: Tensor,
    targets: tuple[Tensor, ...],
    mix: Tensor | None,
    batch: Batch,
    whole: Tensor | None = None,
) -> Tensor:
    """Return the loss of a batch, 0-d: Σ(w · row · mask · ℓ) / Σ(w · row · mask).

    Args:
        loss: The loss.
        output: (B, O) or (B, T, O).
        targets: One target, or two that were mixed.
        mix: Share of the first target, 0-d or (B,); None where there is one.
        batch: Carries row weights, mask and lengths.
        whole: What to divide by instead, 0-d, where several batches make one step.

    Returns:
        The mean, differentiable; 0 where no row counts.
    """
    if mix is None:
        plain = whole is None and batch.weight is None and batch.mask is None and batch.lengths is None
        if plain and loss.weights(targets[0]) is None:
            return loss.mean(output, targets[0])
        total, weight = weighted_sum(loss, output, targets[0], batch)
        return total / (weight if whole is None else whole).clamp_min(torch.finfo(total.dtype).tiny)
    first, second = (_mixed_part(loss, output, target, batch) for target in targets)
    share = mix if mix.ndim == 0 or first[0].ndim == 1 else mix.unsqueeze(1)
    weights = share * first[1] + (1 - share) * second[1]
    total = (share * first[1] * first[0] + (1 - share) * second[1] * second[0]).sum()
    return total / (weights.sum() if whole is None else whole).clamp_min(torch.finfo(total.dtype).tiny)


def _mixed_part(loss: Loss, output: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    values = loss.values(output, target)
    weights = sample_weights(loss, values, target, batch)
    if weights is None:
        return values, torch.ones_like(values)
    return torch.where(weights == 0, 0.0, values), weights


def mean_of_rows(values: Tensor, weight: Tensor, whole: Tensor | None = None) -> Tensor:
    """Return Σ weight · values / Σ weight, or / whole, 0-d, whatever rows that count 0 hold; 0 where no row counts."""
    total = torch.where(weight == 0, 0.0, weight * values).sum()
    return total / (weight.sum() if whole is None else whole).clamp_min(torch.finfo(total.dtype).tiny)
