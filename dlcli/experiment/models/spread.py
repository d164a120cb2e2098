"""How far the members of an ensemble differ in what they say."""

import torch
from torch import Tensor

from dlcli.contracts.task import Task, probabilities


def spread_of(outputs: Tensor, task: Task) -> dict[str, float]:
    """Return how far members differ, each figure a mean over rows.

    `std` is the standard deviation of members' probabilities (for regression: targets), √(mean_m (p_m − p̄)²), mean over
    columns. For classes, in nats: `entropy` H(p̄) of the mean prediction, all uncertainty; `mutual_information`
    H(p̄) − mean_m H(p_m), the part of it that comes from members' disagreement, ≥ 0. Of several labels they are summed.

    Args:
        outputs: Members' outputs (M, R, …, O).
        task: How outputs are read.

    Returns:
        The figures by name.

    Source: Houlsby et al. 2011, "Bayesian active learning for classification and preference learning"; Lakshminarayanan
    et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles".
    """
    values = probabilities(outputs.double(), task)
    found = {"std": float(values.std(dim=0, correction=0).mean())}
    if task.classifies:
        total = _entropy(values.mean(dim=0), task)
        expected = _entropy(values, task).mean(dim=0)
        found["entropy"] = float(total.mean())
        found["mutual_information"] = max(0.0, float((total - expected).mean()))
    return found


def _entropy(values: Tensor, task: Task) -> Tensor:
    """Return −Σ p log p over classes, of the two classes of each column for binary and multilabel."""
    own: Tensor = torch.special.entr(values)
    return (own if task is Task.MULTICLASS else own + torch.special.entr(1 - values)).sum(dim=-1)
