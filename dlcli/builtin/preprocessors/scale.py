"""The preprocessor `scale`."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field as Parameter
from pydantic import model_validator
from torch import Tensor

from dlcli import Field, PerMember, Preprocessor


class Scale(Preprocessor):
    """Maps each column's range onto [low, high]: low + (high − low)(x − minimum) / (maximum − minimum).

    Features and sequences by column, images by channel. With `by = "data"` the range is that of the training rows, and
    other rows may leave [low, high]; with `by = "type"` it is the whole range of an integer type, so that uint8 images
    become x / 255 whatever they hold. A column that does not vary becomes `low`.

    Args:
        low: What the minimum becomes.
        high: What the maximum becomes, > low.
        by: Where the range comes from: `data` or `type`.

    Raises:
        ValueError: `low` is not below `high`, no rows to fit on, or `by = "type"` with numbers that are not integers.
    """

    name: ClassVar[str] = "scale"

    low: PerMember = Parameter(0.0, description="what the smallest value becomes")
    high: PerMember = Parameter(1.0, description="what the largest value becomes")
    by: Literal["data", "type"] = Parameter(
        "data", description="range of the training rows (data), or of the integer type they are stored in (type)"
    )

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low = {self.low} and high = {self.high}")
        return self

    def accepts(self, field: Field) -> bool:
        """Return whether the field holds numbers rather than tokens or categories."""
        return field.kind in ("features", "image", "sequence")

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Fit in float64: minimum, maximum and scale, each (F,) or (C, 1, 1)."""
        if not len(rows):
            raise ValueError("scale needs at least one row to fit on, got none")
        dims = (0, *range(2, rows.ndim))
        minimum, maximum = rows.amin(dims, keepdim=True)[0].double(), rows.amax(dims, keepdim=True)[0].double()
        if self.by == "type":
            if rows.is_floating_point():
                raise ValueError(f'scale with by = "type" needs integers, got {rows.dtype}; use by = "data"')
            limits = torch.iinfo(rows.dtype)
            minimum, maximum = torch.full_like(minimum, limits.min), torch.full_like(maximum, limits.max)
        return _state(minimum, maximum)

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join the ranges of two chunks."""
        return _state(
            torch.minimum(first["minimum"], second["minimum"]), torch.maximum(first["maximum"], second["maximum"])
        )

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Map the range onto [low, high]; float32 out."""
        return (batch.float() - state["minimum"]) * (state["scale"] * (self.high - self.low)) + self.low


def _state(minimum: Tensor, maximum: Tensor) -> dict[str, Tensor]:
    extent = maximum - minimum
    return {"minimum": minimum, "maximum": maximum, "scale": torch.where(extent > 0, 1 / extent, 0.0)}
