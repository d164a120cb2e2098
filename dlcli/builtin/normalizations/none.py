"""The normalization `none`."""

from typing import ClassVar

from torch import nn

from dlcli import Normalization


class NoNormalization(Normalization):
    """No normalization: y = x.

    For shallow networks and for rows whose size means something. Deep networks learn slowly or diverge without one.

    Source: torch.nn.Identity.
    """

    name: ClassVar[str] = "none"

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the identity; any width."""
        return nn.Identity()
