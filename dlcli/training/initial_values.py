"""Refilling a network's weights by an initializer."""

import torch
from torch import nn

from dlcli.contracts.activation import Activation
from dlcli.contracts.architecture import Architecture
from dlcli.contracts.initializer import Initializer
from dlcli.contracts.selector import WEIGHTS, select_parameters
from dlcli.layers.input_layers import InputLayersNetwork

UNTOUCHED = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
"""Modules whose weights of two dimensions are no affine maps."""


def suited_initializer(initializer: Initializer, architecture: Architecture) -> Initializer:
    """Return what an initializer is for the activation of an architecture; itself where there is none."""
    activation = activation_of(architecture)
    return initializer if activation is None else initializer.suited(activation)


def activation_of(architecture: Architecture) -> Activation | None:
    """Return the field `activation`, or that of the architecture inside, such as the one behind input layers."""
    own = getattr(architecture, "activation", None)
    if isinstance(own, Activation):
        return own
    values = [getattr(architecture, key) for key in type(architecture).model_fields]
    inner = [activation_of(value) for value in values if isinstance(value, Architecture)]
    return next((each for each in inner if each is not None), None)


def fill_weights(network: nn.Module, initializer: Initializer, generator: torch.Generator) -> None:
    """Fill the weights of a network in place, and set the biases beside them to 0.

    Args:
        network: The network, on the CPU.
        initializer: What fills them, suited to the network's activation.
        generator: The member's stream of initial values.
    """
    modules = dict(network.named_modules())
    kept = {id(module) for each in modules.values() for module in _untouched(each)}
    with torch.no_grad():
        for name in select_parameters(network, WEIGHTS):
            owner, _, own = name.rpartition(".")
            if id(modules[owner]) in kept or "bias" in own:
                continue
            initializer.fill(network.get_parameter(name), generator)
            for other, parameter in modules[owner].named_parameters(recurse=False):
                if "bias" in other:
                    parameter.zero_()


def _untouched(module: nn.Module) -> tuple[nn.Module, ...]:
    if isinstance(module, InputLayersNetwork):
        return tuple(module.inputs.modules())
    return (module,) if isinstance(module, UNTOUCHED) else ()
