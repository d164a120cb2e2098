"""Built-in input layers."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("input_layer", "embed", "dlcli.builtin.input_layers.embed:Embed")
    registry.add("input_layer", "periodic", "dlcli.builtin.input_layers.periodic:Periodic")
    registry.add(
        "input_layer", "piecewise_linear", "dlcli.builtin.input_layers.piecewise_linear:PiecewiseLinearEmbedding"
    )
