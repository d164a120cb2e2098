"""Built-in activations."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("activation", "elu", "dlcli.builtin.activations.elu:ELU")
    registry.add("activation", "gelu", "dlcli.builtin.activations.gelu:GELU")
    registry.add("activation", "glu", "dlcli.builtin.activations.glu:GLU")
    registry.add("activation", "hard_sigmoid", "dlcli.builtin.activations.hard_sigmoid:HardSigmoid")
    registry.add("activation", "hard_swish", "dlcli.builtin.activations.hard_swish:HardSwish")
    registry.add("activation", "identity", "dlcli.builtin.activations.identity:Identity")
    registry.add("activation", "leaky_relu", "dlcli.builtin.activations.leaky_relu:LeakyReLU")
    registry.add("activation", "maxout", "dlcli.builtin.activations.maxout:Maxout")
    registry.add("activation", "mish", "dlcli.builtin.activations.mish:Mish")
    registry.add("activation", "prelu", "dlcli.builtin.activations.prelu:PReLU")
    registry.add("activation", "relu", "dlcli.builtin.activations.relu:ReLU")
    registry.add("activation", "rrelu", "dlcli.builtin.activations.rrelu:RReLU")
    registry.add("activation", "selu", "dlcli.builtin.activations.selu:SELU")
    registry.add("activation", "sigmoid", "dlcli.builtin.activations.sigmoid:Sigmoid")
    registry.add("activation", "softmax", "dlcli.builtin.activations.softmax:Softmax")
    registry.add("activation", "softplus", "dlcli.builtin.activations.softplus:Softplus")
    registry.add("activation", "swish", "dlcli.builtin.activations.swish:Swish")
    registry.add("activation", "tanh", "dlcli.builtin.activations.tanh:Tanh")
