"""The activation `swish`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dlcli import Activation, Initialization
from dlcli.builtin.activations.second_moment import second_moment_gain, sigmoid


class Swish(Activation):
    """A line with a smooth gate: x · σ(beta · x); with beta = 1 it is SiLU.

    Smooth and not monotone, like `gelu`. A learned beta is one number a layer and follows the data from x/2 (0) towards
    relu (large); it is no weight, so weight decay by `l2` does not touch it.

    Args:
        beta: Sharpness of the gate, > 0; where it is learned, its initial value. The default of 1 is torch's SiLU.
        learned: Whether beta is a parameter of the network.

    Source: Ramachandran et al. 2017, "Searching for activation functions".
    """

    name: ClassVar[str] = "swish"
    formula: ClassVar[str] = "x * sigmoid(beta * x)"
    gradient: ClassVar[str] = "sigmoid(beta * x) * (1 + beta * x * (1 - sigmoid(beta * x)))"
    output_range: ClassVar[str] = "[-0.27847 / beta, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on the left: the gradient is within 0.01 of 0 for x < -6.3 / beta"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    beta: float = Field(1.0, gt=0, description="sharpness of the gate; its initial value where it is learned")
    learned: bool = Field(False, description="whether beta is a parameter of the network")

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²)."""
        return second_moment_gain(lambda z: z * sigmoid(self.beta * z))

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        if self.learned:
            return GatedLine(nn.Parameter(torch.tensor([self.beta])))
        return nn.SiLU() if self.beta == 1 else GatedLine(self.beta)


class GatedLine(nn.Module):
    """x · σ(beta · x).

    Args:
        beta: Sharpness of the gate: a constant, or a parameter (1,).

    Shape:
        Any shape; the same comes out.
    """

    def __init__(self, beta: float | nn.Parameter) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of every element."""
        return x * torch.sigmoid(self.beta * x)
