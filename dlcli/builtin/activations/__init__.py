"""Built-in activations."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("activation", "leaky_relu", "dlcli.builtin.activations.leaky_relu:LeakyReLU")
    registry.add("activation", "relu", "dlcli.builtin.activations.relu:ReLU")
    registry.add("activation", "sigmoid", "dlcli.builtin.activations.sigmoid:Sigmoid")
    registry.add("activation", "tanh", "dlcli.builtin.activations.tanh:Tanh")
