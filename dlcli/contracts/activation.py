"""The contract of an activation."""

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from dlcli.contracts.component import Component


class Activation(Component):
    """A nonlinearity between layers; knows its formula and where its gradient is lost.

    Class attributes: `formula` and `gradient` as text in x; `output_range` as text; `zero_centred`, whether outputs
    spread around zero; `saturates`, where the gradient vanishes or dies ("nowhere" where it does not).
    """

    kind: ClassVar[str] = "activation"
    formula: ClassVar[str]
    gradient: ClassVar[str]
    output_range: ClassVar[str]
    zero_centred: ClassVar[bool]
    saturates: ClassVar[str]

    @property
    def input_multiple(self) -> int:
        """How many times its output's width the input must have: 1; 2 for glu; k for maxout."""
        return 1

    @abstractmethod
    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module.

        Args:
            width: Width of the output along `feature_dim`.
            feature_dim: Dimension that holds features: 1 for (B, F) and (B, C, H, W), -1 for (B, T, F).

        Returns:
            A module from (…, width · input_multiple, …) to (…, width, …), dtype and device kept.
        """
