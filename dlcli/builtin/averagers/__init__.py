"""Built-in averagers of weights."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("averager", "ema", "dlcli.builtin.averagers.ema:ExponentialMovingAverage")
    registry.add("averager", "swa", "dlcli.builtin.averagers.swa:StochasticWeightAverage")
