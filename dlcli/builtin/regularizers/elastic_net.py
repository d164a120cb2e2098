"""The regularizer `elastic_net`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class ElasticNet(Regularizer):
    """Pulls weights towards zero, by size and by square: adds strength · Σ (s · |w| + ½ · (1 − s) · w²) to the loss.

    s is `l1_share`: 0 gives `l2`, 1 gives `l1`. Between them, weights of inputs that go together stay together, of
    which `l1` alone keeps any one. Strength and share are those of scikit-learn's `ElasticNet` for a loss of half the
    squared error.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        strength: Factor, ≥ 0; larger pulls harder; 0 for none.
        l1_share: Share of the pull by size, in [0, 1]; the rest is by square.

    Source: Zou and Hastie 2005, "Regularization and variable selection via the elastic net".
    """

    name: ClassVar[str] = "elastic_net"

    strength: PerMember = Field(1e-4, ge=0, description="factor on both penalties together")
    l1_share: PerMember = Field(0.5, ge=0, le=1, description="share of the penalty by size; the rest is by square")

    def penalty(self, parameters: Mapping[str, Tensor], activations: Mapping[str, Tensor]) -> Tensor:
        """Return strength · (s · Σ |w| + ½ · (1 − s) · Σ w²); 0 where nothing is selected."""
        if not parameters:
            return torch.zeros(())
        sizes = torch.stack([parameter.abs().sum() for parameter in parameters.values()]).sum()
        squares = torch.stack([parameter.square().sum() for parameter in parameters.values()]).sum()
        return self.strength * (self.l1_share * sizes + 0.5 * (1 - self.l1_share) * squares)
