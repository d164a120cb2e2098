"""The initializer `auto`."""

from typing import ClassVar

from torch import Generator, Tensor

from dlcli import Activation, Initializer
from dlcli.builtin.initializers.kaiming_normal import KaimingNormal
from dlcli.builtin.initializers.kaiming_uniform import KaimingUniform
from dlcli.builtin.initializers.lecun_normal import LecunNormal
from dlcli.builtin.initializers.lecun_uniform import LecunUniform
from dlcli.builtin.initializers.orthogonal import Orthogonal
from dlcli.builtin.initializers.xavier_normal import XavierNormal
from dlcli.builtin.initializers.xavier_uniform import XavierUniform

CHOICES = {
    choice.name: choice
    for choice in (KaimingNormal, KaimingUniform, LecunNormal, LecunUniform, Orthogonal, XavierNormal, XavierUniform)
}


class Auto(Initializer):
    """What suits the architecture's activation, which names it: kaiming for relu, xavier for tanh, lecun for selu.

    With the activation's gain. Where the architecture has no activation it is `xavier_uniform` with a gain of 1.

    Raises:
        ValueError: From `suited`: the activation names an initializer that there is not.

    Source: as the initializer's.
    """

    name: ClassVar[str] = "auto"

    def suited(self, activation: Activation) -> Initializer:
        """Return what the activation names, with its gain."""
        choice = CHOICES.get(activation.initialization)
        if choice is None:
            raise ValueError(
                f"the activation {activation.name} names {activation.initialization!r} as its initialization; allowed "
                f"are {', '.join(CHOICES)}; give model.init one of these"
            )
        return choice().suited(activation)

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight of an architecture without an activation."""
        XavierUniform().fill(parameter, generator)
