"""The initializer `lecun_normal`."""

import math
from typing import ClassVar

from torch import Generator, Tensor

from dlcli import Initializer
from dlcli.builtin.initializers.fans import fan_in


class LecunNormal(Initializer):
    """Keeps the variance of what comes in: N(0, 1 / fan_in); what selu needs.

    It knows no gain: behind relu and its kin signals shrink from layer to layer; use kaiming there.

    Source: LeCun et al. 1998, "Efficient backprop"; for selu Klambauer et al. 2017.
    """

    name: ClassVar[str] = "lecun_normal"

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight."""
        deviation = 1 / math.sqrt(fan_in(parameter))
        parameter.normal_(0.0, deviation, generator=generator)
