"""The preprocessor `one_hot`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field as Parameter
from torch import Tensor

from dlcli import Field, Preprocessor


class OneHot(Preprocessor):
    """Turns a category into a column for each of its C classes: 1 in the column of its own, 0 in the others.

    For categorical fields with `classes`. The columns are all classes of the field, also those without a training row.
    A number that is no class becomes all 0; `dlcli predict` refuses such rows.

    Args:
        drop_first: Whether the first class gets no column: all 0 then stands for it. Columns that add up to 1 tell a
            linear model one number twice.

    Shape:
        (B,) integers give features (B, C), or (B, C − 1) without the first.

    Raises:
        ValueError: The field has no `classes`, or no column would be left.
    """

    name: ClassVar[str] = "one_hot"

    drop_first: bool = Parameter(False, description="whether the first class gets no column")

    def accepts(self, field: Field) -> bool:
        """Return whether the field holds categories."""
        return field.kind == "categorical"

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Learn nothing: the classes are known from the field."""
        return {}

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join nothing."""
        return {}

    def finish(self, state: Mapping[str, Tensor], field: Field) -> dict[str, Tensor]:
        """Return codes, int64 (C,): the number of each column's class."""
        if not field.classes:
            raise ValueError(
                f"{field.name} does not say which categories there are; give it the attribute `classes`, their names "
                "in the order of their numbers"
            )
        codes = torch.arange(int(self.drop_first), len(field.classes))
        if not len(codes):
            raise ValueError(f"{field.name} has one class, so that without the first no column is left; remove it")
        return {"codes": codes}

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Compare each category with every class; float32 out."""
        return (batch.unsqueeze(-1) == state["codes"]).float()

    def output(self, field: Field) -> Field:
        """Return features with a column for each class, named `field=class`."""
        kept = field.classes[int(self.drop_first) :]
        changed = {"kind": "features", "shape": (len(kept),), "dtype": "float32", "classes": ()}
        return Field(**{**vars(field), **changed, "names": tuple(f"{field.name}={name}" for name in kept)})
