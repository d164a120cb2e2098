"""The preprocessor `standardize`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from dlcli import Field, Preprocessor

# Half the spacing of float32 numbers around 1: a column that varies less than this share of its mean has no digits
# left once the mean is subtracted in float32.
RESOLUTION = 2.0**-24


class Standardize(Preprocessor):
    """Gives each column mean 0 and standard deviation 1: (x − mean) / deviation, as scikit-learn's StandardScaler.

    Features and sequences by column, images by channel. The deviation divides by N, not N − 1. A column that does not
    vary, or by less than float32 can resolve beside its mean, becomes 0.

    Raises:
        ValueError: No rows to fit on.
    """

    name: ClassVar[str] = "standardize"

    def accepts(self, field: Field) -> bool:
        """Return whether the field holds numbers rather than tokens or categories."""
        return field.kind in ("features", "image", "sequence")

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Fit in float64: count (), and mean, variance and scale, each (F,) or (C, 1, 1)."""
        if not len(rows):
            raise ValueError("standardize needs at least one row to fit on, got none")
        dims = (0, *range(2, rows.ndim))
        variance, mean = torch.var_mean(rows.double(), dims, correction=0, keepdim=True)
        count = torch.tensor(rows.numel() / rows.shape[1], dtype=torch.float64)
        return _state(count, mean[0], variance[0])

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join two chunks by their counts, means and variances (Chan et al. 1983)."""
        count = first["count"] + second["count"]
        share = second["count"] / count
        shift = second["mean"] - first["mean"]
        mean = first["mean"] + share * shift
        variance = (1 - share) * first["variance"] + share * second["variance"] + share * (1 - share) * shift.square()
        return _state(count, mean, variance)

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Subtract the mean and multiply by the scale; float32 out."""
        return (batch.float() - state["mean"]) * state["scale"]


def _state(count: Tensor, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
    deviation = variance.sqrt()
    constant = deviation <= RESOLUTION * mean.abs()
    scale = torch.where(constant, 0.0, 1 / deviation)
    return {"count": count, "mean": mean, "variance": variance, "scale": scale}
