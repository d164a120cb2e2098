"""The preprocessor `log1p`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from dlcli import Field, Preprocessor


class Log1p(Preprocessor):
    """Squeezes large numbers: sign(x) · log(1 + |x|), in base e.

    For counts, amounts and other columns with a long tail; features, sequences and images. For x ≥ 0 it is NumPy's
    `log1p`, and negative numbers are mirrored rather than refused, so that a new row below 0 has a number too. Best
    followed by `standardize`.

    Source: Kahan's form, in Goldberg 1991, "What every computer scientist should know about floating-point arithmetic".
    """

    name: ClassVar[str] = "log1p"

    def accepts(self, field: Field) -> bool:
        """Return whether the field holds numbers rather than tokens or categories."""
        return field.kind in ("features", "image", "sequence")

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        """Learn nothing."""
        return {}

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Join nothing."""
        return {}

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Take the logarithm on both sides of 0; float32 out."""
        numbers = batch.float()
        size = numbers.abs()
        # In ONNX log1p is log(1 + x), with no digits left of a small x: Kahan's form makes up for what 1 + x lost.
        more = 1 + size
        lost = more - 1
        return numbers.sign() * torch.where(lost > 0, more.log() * (size / torch.where(lost > 0, lost, 1.0)), size)
