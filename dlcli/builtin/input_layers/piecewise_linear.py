"""The input layer `piecewise_linear`."""

from typing import ClassVar

from pydantic import Field as Parameter
from torch import nn

from dlcli import Field, InputLayer, Preprocessor
from dlcli.builtin.input_layers.column_layers import ColumnLinear
from dlcli.builtin.preprocessors.piecewise_linear import PiecewiseLinear


class PiecewiseLinearEmbedding(InputLayer):
    """Gives each number how far it is through each of K bins, then an affine map of its own for each column.

    The bins hold about as many training rows each; the preprocessor `piecewise_linear` finds them and fills them in.
    What a column becomes is then a learned curve, linear between the edges of the bins.

    Args:
        bins: K ≥ 2.
        width: Numbers of a column behind it, D ≥ 1.
        relu: Whether negative numbers become 0 behind the map.

    Shape:
        features (B, F) give features (B, F · D).

    Source: Gorishniy et al. 2022, "On embeddings for numerical features in tabular deep learning".
    """

    name: ClassVar[str] = "piecewise_linear"

    bins: int = Parameter(16, ge=2, le=1024, description="bins of a column")
    width: int = Parameter(16, ge=1, description="numbers of a column behind it")
    relu: bool = Parameter(True, description="whether negative numbers become 0 behind the map")

    def accepts(self, field: Field) -> bool:
        """Return whether the field has columns of numbers."""
        return field.kind == "features"

    def preprocessors(self) -> tuple[Preprocessor, ...]:
        """Return what finds the bins."""
        return (PiecewiseLinear(bins=self.bins),)

    def output(self, field: Field) -> Field:
        """Return features (F · D,)."""
        shape = (self._columns(field) * self.width,)
        return Field(**{**vars(field), "shape": shape, "dtype": "float32", "names": ()})

    def build(self, field: Field) -> nn.Module:
        """Build an affine map for every column."""
        columns = self._columns(field)
        linear = ColumnLinear(columns, self.bins, self.width, relu=self.relu)
        return nn.Sequential(nn.Unflatten(1, (columns, self.bins)), linear)

    def _columns(self, field: Field) -> int:
        columns, rest = divmod(field.shape[0], self.bins)
        if rest:
            raise ValueError(
                f"piecewise_linear needs all {self.bins} bins of every column of {field.name}, got {field.shape[0]} "
                "numbers: it cannot see columns chosen after preprocessing"
            )
        return columns
