"""The contract of an initializer."""

from abc import abstractmethod
from typing import ClassVar

import torch

from dlcli.contracts.activation import Activation
from dlcli.contracts.component import Component


class Initializer(Component):
    """Refills a network's weights with initial values of its own; named by `model.init`.

    Weights are the parameters of two dimensions or more; those of embeddings, normalizations and input layers stay as
    they were built, and so do other parameters, but for the biases beside a weight, which become 0.
    """

    kind: ClassVar[str] = "initializer"

    def suited(self, activation: Activation) -> "Initializer":
        """Return what fills the weights of an architecture whose field `activation` this is; by default itself."""
        return self

    @abstractmethod
    def fill(self, parameter: torch.Tensor, generator: torch.Generator) -> None:
        """Fill one weight in place; called in `named_parameters` order, without gradients.

        Args:
            parameter: A weight (out, in, …) on the CPU.
            generator: The member's stream for initial values; draw from nothing else.
        """
