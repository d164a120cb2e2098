"""The contract of an initializer."""

from abc import abstractmethod
from typing import ClassVar

import torch

from dlcli.contracts.component import Component


class Initializer(Component):
    """Refills a network's parameters with initial values of its own; named by `model.init`."""

    kind: ClassVar[str] = "initializer"

    @abstractmethod
    def fill(self, parameter: torch.Tensor, generator: torch.Generator) -> None:
        """Fill one weight in place; called in `named_parameters` order for parameters of two dimensions or more.

        Args:
            parameter: A weight (out, in, …) on the CPU.
            generator: The member's stream for initial values; draw from nothing else.
        """
