"""Built-in losses."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("loss", "binary_cross_entropy", "dlcli.builtin.losses.binary_cross_entropy:BinaryCrossEntropy")
    registry.add("loss", "cross_entropy", "dlcli.builtin.losses.cross_entropy:CrossEntropy")
    registry.add("loss", "mse", "dlcli.builtin.losses.mse:MeanSquaredError")
