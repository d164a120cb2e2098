"""The preprocessor `impute`."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field as Parameter
from pydantic import model_validator
from torch import Tensor

from dlcli import Field, Preprocessor
from dlcli.builtin.preprocessors.sorted_sample import merged_samples, quantiles_of, sample_of


class Impute(Preprocessor):
    """Fills in missing values, which are NaN, by column, as scikit-learn's SimpleImputer.

    Features, and the valid steps of sequences. It must come first in `data.preprocess`. The median is exact up to
    max(1024, 2^22 / F) training rows of F columns; beyond, its rank is off by at most 0.05 % for each 64 MB of rows.

    Args:
        strategy: What stands for a missing value: the median or the mean of the column's training rows, or `value`.
        value: The constant; only with `strategy = "constant"`.
        indicator: Whether F columns are appended that are 1 where the value was missing, and 0 elsewhere: that it is
            missing may tell something. All columns get one, also those that lack nothing.

    Shape:
        (…, F) gives (…, F), or (…, 2F) with the indicator.

    Raises:
        ValueError: A `value` with another strategy, no rows to fit on, or a column without any value in them.
    """

    name: ClassVar[str] = "impute"
    takes_missing: ClassVar[bool] = True

    strategy: Literal["median", "mean", "constant"] = Parameter(
        "median", description="what stands for a missing value: median or mean of the column, or the constant `value`"
    )
    value: float = Parameter(0.0, description='what stands for a missing value with strategy = "constant"')
    indicator: bool = Parameter(False, description="whether columns are appended that say where values were missing")

    @model_validator(mode="after")
    def _value_is_used(self) -> Self:
        if self.value != 0 and self.strategy != "constant":
            raise ValueError(
                f'value is what strategy = "constant" fills in; got value = {self.value} with strategy = '
                f'"{self.strategy}"'
            )
        return self

    def accepts(self, field: Field) -> bool:
        """Return whether the field has columns of numbers."""
        return field.kind in ("features", "sequence")

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Fit in float64: count (F,), the values there; with it sample (≤ K, F) or mean (F,)."""
        if not len(rows):
            raise ValueError("impute needs at least one row to fit on, got none")
        if self.strategy == "median":
            return sample_of(rows)
        values = rows.double()
        count = (~values.isnan()).double().sum(0)
        return {"count": count, "mean": values.nansum(0) / count.clamp(min=1)}

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join two chunks by their samples, or by their counts and means."""
        if self.strategy == "median":
            return merged_samples(first, second)
        count = first["count"] + second["count"]
        share = second["count"] / count.clamp(min=1)
        return {"count": count, "mean": first["mean"] + share * (second["mean"] - first["mean"])}

    def finish(self, state: Mapping[str, Tensor], field: Field) -> dict[str, Tensor]:
        """Return fill (F,): what stands for a missing value of each column."""
        if self.strategy == "constant":
            return {"fill": torch.full_like(state["count"], self.value)}
        empty = (state["count"] == 0).nonzero().flatten().tolist()
        if empty:
            names = [repr(field.names[column]) if field.names else str(column) for column in empty[:8]]
            more = ", …" if len(empty) > 8 else ""
            raise ValueError(
                f"all values of column {', '.join(names)}{more} are missing in the training rows, so that there is no "
                f"{self.strategy}; remove the column (of a CSV: dlcli data import --set drop='[…]'), or fill in a "
                'number: { name = "impute", strategy = "constant" }'
            )
        if self.strategy == "mean":
            return {"fill": state["mean"]}
        return {"fill": quantiles_of(state, torch.tensor([0.5], dtype=torch.float64))[0]}

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Put the fill in the place of NaN; float32 out."""
        numbers = batch.float()
        missing = numbers.isnan()
        filled = torch.where(missing, state["fill"], numbers)
        return torch.cat([filled, missing.float()], dim=-1) if self.indicator else filled

    def output(self, field: Field) -> Field:
        """Return the field as float32, with the columns of the indicator behind its own."""
        shape, names = field.shape, field.names
        if self.indicator:
            shape, names = (*shape[:-1], 2 * shape[-1]), (*names, *(f"{name} is missing" for name in names))
        return Field(**{**vars(field), "dtype": "float32", "shape": shape, "names": names})
