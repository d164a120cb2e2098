"""The training loss of every member of a stack."""

import math

import torch
from torch import Tensor

from dlcli.training.surroundings import CHECK_STEPS


class StackLosses:
    """Σ weight · loss and Σ weight of every member over an epoch, in float64.

    Args:
        count: How many members.
    """

    def __init__(self, count: int) -> None:
        self._losses: list[Tensor] = []
        self._weights: list[Tensor | int] = []
        self._totals, self._shares = [0.0] * count, [0.0] * count
        self._faults = [""] * count
        self._steps = 0

    def add(self, losses: Tensor, weights: Tensor | int) -> None:
        """Take a step in; now and then it is looked at, which waits for the device.

        Args:
            losses: Mean loss of every member's batch (M,).
            weights: Weight of every member's batch (M,), or one for all.
        """
        self._losses.append(losses)
        self._weights.append(weights)
        if len(self._losses) == CHECK_STEPS:
            self._look()

    def _look(self) -> None:
        if not self._losses:
            return
        values = torch.stack(self._losses).tolist()
        shares = [w.tolist() if isinstance(w, Tensor) else [float(w)] * len(self._totals) for w in self._weights]
        for step, row in enumerate(values, start=self._steps + 1):
            for place, value in enumerate(row):
                if not math.isfinite(value) and not self._faults[place]:
                    self._faults[place] = f"batch {step}"
        for place in range(len(self._totals)):
            self._totals[place] += math.fsum(
                row[place] * own[place] if math.isfinite(row[place]) else math.nan
                for row, own in zip(values, shares, strict=True)
            )
            self._shares[place] += math.fsum(own[place] for own in shares)
        self._steps += len(self._losses)
        self._losses, self._weights = [], []

    def means(self) -> list[tuple[float, str]]:
        """Return every member's mean loss and, where that is not finite, the first batch at fault, else nothing."""
        self._look()
        return [
            (total / max(share, 1e-300), fault)
            for total, share, fault in zip(self._totals, self._shares, self._faults, strict=True)
        ]
