"""The activation `sigmoid`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Activation


class Sigmoid(Activation):
    """Logistic function between layers: 1 / (1 + e^(−beta · x)); for outputs there is none, since networks give logits.

    For gates and shares. Saturates on both sides, is not centred on zero, and its gradient is ¼ · beta at most, so that
    it vanishes in deep stacks: take `relu` or `gelu` there.

    Args:
        beta: Steepness, > 0; the slope at 0 is beta / 4. The default of 1 is torch's.

    Source: Rumelhart et al. 1986, "Learning representations by back-propagating errors".
    """

    name: ClassVar[str] = "sigmoid"
    formula: ClassVar[str] = "1 / (1 + exp(-beta * x))"
    gradient: ClassVar[str] = "beta * sigmoid(beta * x) * (1 - sigmoid(beta * x))"
    output_range: ClassVar[str] = "(0, 1)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on both sides: the gradient is below 0.01 * beta for |x| > 4.6 / beta"

    beta: float = Field(1.0, gt=0, description="steepness; the slope at 0 is beta / 4")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Sigmoid() if self.beta == 1 else SteepSigmoid(self.beta)


class SteepSigmoid(nn.Module):
    """σ(beta · x).

    Args:
        beta: Steepness.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of every element."""
        return torch.sigmoid(self.beta * x)
