"""The input layer `periodic`."""

import math
from typing import ClassVar

import torch
from pydantic import Field as Parameter
from torch import Tensor, nn

from dlcli import Field, InputLayer
from dlcli.builtin.input_layers.column_layers import ColumnLinear


class Periodic(InputLayer):
    """Gives each number sines and cosines of learned frequencies, then an affine map of its own and a ReLU.

    v = 2π c x with K frequencies c of each column, which start as N(0, scale²); [cos v, sin v] is mapped to D numbers.
    The numbers should be standardized. The scale decides much: larger ones let the network follow finer detail.

    Args:
        frequencies: K ≥ 1.
        scale: Standard deviation of the frequencies at the start, > 0.
        width: Numbers of a column behind it, D ≥ 1.

    Shape:
        features (B, F) give features (B, F · D).

    Source: Gorishniy et al. 2022, "On embeddings for numerical features in tabular deep learning"; defaults as in its
    package rtdl_num_embeddings, but for the scale, which there is 0.01.
    """

    name: ClassVar[str] = "periodic"

    frequencies: int = Parameter(48, ge=1, description="sines, and as many cosines, of a column")
    scale: float = Parameter(0.1, gt=0, description="standard deviation of the frequencies at the start")
    width: int = Parameter(24, ge=1, description="numbers of a column behind it")

    def accepts(self, field: Field) -> bool:
        """Return whether the field has columns of numbers."""
        return field.kind == "features"

    def output(self, field: Field) -> Field:
        """Return features (F · D,)."""
        return Field(**{**vars(field), "shape": (field.shape[0] * self.width,), "dtype": "float32", "names": ()})

    def build(self, field: Field) -> nn.Module:
        """Build frequencies and affine maps for every column."""
        columns = field.shape[0]
        linear = ColumnLinear(columns, 2 * self.frequencies, self.width, relu=True)
        return nn.Sequential(Waves(torch.randn(columns, self.frequencies) * self.scale), linear)


class Waves(nn.Module):
    """Cosines and sines of learned frequencies.

    Args:
        frequencies: Where they start (F, K).

    Shape:
        (B, F) gives (B, F, 2K).
    """

    def __init__(self, frequencies: Tensor) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(frequencies)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return [cos 2πcx, sin 2πcx]."""
        angles = 2 * math.pi * self.frequencies * numbers.unsqueeze(-1)
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
