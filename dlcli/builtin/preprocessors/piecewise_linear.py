"""The preprocessor `piecewise_linear`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field as Parameter
from torch import Tensor

from dlcli import Field, Preprocessor
from dlcli.builtin.preprocessors.sorted_sample import merged_samples, quantiles_of, sample_of


class PiecewiseLinear(Preprocessor):
    """Turns a number into K: how far it is through each of K bins, which hold about as many training rows each.

    Of edges b_0 ≤ … ≤ b_K, the quantiles of the training rows, bin t gives (x − b_{t−1}) / (b_t − b_{t−1}), cut at 0
    and 1; but below the first bin and above the last it goes on. A bin of width 0, where many rows are equal, gives 0
    below it and 1 from it on. Exact up to max(1024, 2^22 / F) training rows, as `quantile`.

    Args:
        bins: K ≥ 2.

    Shape:
        features (B, F) give features (B, F · K), the bins of a column side by side.

    Raises:
        ValueError: No rows to fit on.

    Source: Gorishniy et al. 2022, "On embeddings for numerical features in tabular deep learning", section 3.2.
    """

    name: ClassVar[str] = "piecewise_linear"

    bins: int = Parameter(16, ge=2, le=1024, description="bins of a column")

    def accepts(self, field: Field) -> bool:
        """Return whether the field has columns of numbers."""
        return field.kind == "features"

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Fit in float64: count (F,) and sample (≤ K, F)."""
        if not len(rows):
            raise ValueError("piecewise_linear needs at least one row to fit on, got none")
        return sample_of(rows)

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join the samples of two chunks."""
        return merged_samples(first, second)

    def finish(self, state: Mapping[str, Tensor], field: Field) -> dict[str, Tensor]:
        """Return the edges of bins (F, K + 1), ascending."""
        levels = torch.linspace(0, 1, self.bins + 1, dtype=torch.float64)
        return {"edges": torch.cummax(quantiles_of(state, levels).T, dim=1).values}

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Fill the bins in; float32 out."""
        numbers = batch.float().unsqueeze(-1)
        low, high = state["edges"][:, :-1], state["edges"][:, 1:]
        empty = high <= low
        share = (numbers - low) / torch.where(empty, 1.0, high - low)
        place = torch.arange(self.bins, device=batch.device)
        share = torch.where(place > 0, share.clamp(min=0), share)
        share = torch.where(place < self.bins - 1, share.clamp(max=1), share)
        return torch.where(empty, (numbers >= high).float(), share).flatten(-2)

    def output(self, field: Field) -> Field:
        """Return features with K columns for each."""
        names = tuple(f"{name}[{place}]" for name in field.names for place in range(self.bins))
        shape = (field.shape[0] * self.bins,)
        return Field(**{**vars(field), "shape": shape, "dtype": "float32", "names": names})
