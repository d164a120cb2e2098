"""The preprocessor `quantile`."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field as Parameter
from torch import Tensor

from dlcli import Field, Preprocessor
from dlcli.builtin.preprocessors.sorted_sample import merged_samples, quantiles_of, sample_of

LEAST_TAIL = 1e-7
"""Probability at which a normal output is cut: at ± 5.2, as in scikit-learn."""

TIE = 2.0**-21
"""Numbers closer to a quantile than that share of themselves are equal to it: between the last of equal quantiles and
the next number the map jumps, and what another runtime rounds otherwise by a bit must not land beyond."""


class Quantile(Preprocessor):
    """Gives each column a uniform or normal distribution by its ranks, as scikit-learn's QuantileTransformer.

    Features, and the valid steps of sequences. A number becomes its share p of smaller training rows, linear between
    Q quantiles: 0 at or below the smallest, 1 at or above the largest; of equal quantiles the middle. Normal is Φ⁻¹(p),
    p cut at 1e-7 from both ends: ± 5.2 at most. Outliers lose their distance. A column that does not vary becomes the
    middle, ½ or 0. The quantiles are exact up to max(1024, 2^22 / F) training rows of F columns; beyond, a rank is off
    by at most 0.05 % for each 64 MB of rows.

    Args:
        output_distribution: `uniform` on [0, 1], or `normal`.
        n_quantiles: Q ≥ 2; finer than the training rows brings nothing.

    Raises:
        ValueError: No rows to fit on.

    Source: inverse normal by Wichura 1988, algorithm AS 241, "The percentage points of the normal distribution".
    """

    name: ClassVar[str] = "quantile"

    output_distribution: Literal["uniform", "normal"] = Parameter("normal", description="distribution of the output")
    n_quantiles: int = Parameter(1000, ge=2, le=100_000, description="numbers between which the map is linear")

    def accepts(self, field: Field) -> bool:
        """Return whether the field has columns of numbers."""
        return field.kind in ("features", "sequence")

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Fit in float64: count (F,) and sample (≤ K, F)."""
        if not len(rows):
            raise ValueError("quantile needs at least one row to fit on, got none")
        return sample_of(rows)

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join the samples of two chunks."""
        return merged_samples(first, second)

    def finish(self, state: Mapping[str, Tensor], field: Field) -> dict[str, Tensor]:
        """Return quantiles (F, Q), ascending."""
        levels = torch.linspace(0, 1, self.n_quantiles, dtype=torch.float64)
        quantiles = quantiles_of(state, levels).T
        return {"quantiles": torch.cummax(quantiles, dim=1).values}  # rounding must not put them out of order

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Map numbers to their ranks; float32 out."""
        numbers, quantiles = batch.float(), state["quantiles"]
        last = quantiles.shape[-1] - 1
        least, most = quantiles[..., 0], quantiles[..., -1]
        blur = TIE * numbers.abs()
        below = _count(quantiles, numbers - blur, torch.lt)  # of quantiles smaller than the number
        through = _count(quantiles, numbers + blur, torch.le)
        low = _at(quantiles, (through - 1).clamp(min=0))
        high = _at(quantiles, through.clamp(max=last))
        gap = torch.where(high > low, high - low, 1.0)
        equal = through > below
        tie = (below + through - 1).float() / 2
        # Shares of smaller and of larger ones are computed apart: each is exact near its own end.
        smaller = torch.where(equal, tie, (through - 1).float() + (numbers - low) / gap) / last
        larger = torch.where(equal, last - tie, (last - through).float() + (high - numbers) / gap) / last
        at_most, at_least = numbers - blur <= least, numbers + blur >= most
        smaller = torch.where(at_most, 0.0, torch.where(at_least, 1.0, smaller))
        larger = torch.where(at_most, 1.0, torch.where(at_least, 0.0, larger))
        constant = least == most
        smaller, larger = torch.where(constant, 0.5, smaller), torch.where(constant, 0.5, larger)
        return smaller if self.output_distribution == "uniform" else _inverse_normal(smaller, larger)


def _count(quantiles: Tensor, numbers: Tensor, before: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return how many of Q ascending quantiles (F, Q) come before each number (…, F), found by halving.

    `torch.searchsorted` has no counterpart in ONNX.
    """
    size = quantiles.shape[-1]
    found = torch.zeros_like(numbers, dtype=torch.int64)
    for power in reversed(range(size.bit_length())):
        reached = found + 2**power
        there = _at(quantiles, reached.clamp(max=size) - 1)
        found = torch.where((reached <= size) & before(there, numbers), reached, found)
    return found


def _at(quantiles: Tensor, places: Tensor) -> Tensor:
    """Return the quantiles (F, Q) of each column at places (…, F)."""
    columns, size = quantiles.shape
    offsets = torch.arange(columns, device=places.device) * size
    return quantiles.reshape(-1).index_select(0, (places + offsets).reshape(-1)).reshape(places.shape)


def _inverse_normal(smaller: Tensor, larger: Tensor) -> Tensor:
    """Return Φ⁻¹(p) in single precision, given p and 1 − p.

    `torch.special.ndtri` has no counterpart in ONNX. The algorithm's third branch, for p < e^-25, is never reached.
    """
    middle = (smaller - larger) / 2
    r = 0.180625 - middle.square()
    inner = middle * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
    inner = inner / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    tail = torch.minimum(smaller, larger).clamp(min=LEAST_TAIL)
    r = (-tail.log()).sqrt() - 1.6
    outer = ((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777
    outer = outer / ((0.12021132975 * r + 0.73700164250) * r + 1.0)
    return torch.where(middle.abs() <= 0.425, inner, outer * middle.sign())
