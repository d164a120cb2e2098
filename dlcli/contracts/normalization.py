"""The contract of a normalization."""

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from dlcli.contracts.component import Component


class Normalization(Component):
    """Normalizes the values between an affine map and its activation.

    In evaluation, steps of a sequence do not see one another: causal networks and the padding of short rows rely on it.
    What makes no sense for a layout is refused, by `build` or by the module's `forward`, with a ValueError that says
    what it needs.
    """

    kind: ClassVar[str] = "normalization"

    @property
    def removes_bias(self) -> bool:
        """Whether a constant added to a feature before it changes nothing, so that no bias is built there."""
        return False

    @abstractmethod
    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module.

        Args:
            width: Number of features along `feature_dim`.
            feature_dim: Dimension that holds features: 1 for (B, F) and (B, C, H, W), -1 for (B, T, F).

        Returns:
            A module that keeps shape, dtype and device.
        """
