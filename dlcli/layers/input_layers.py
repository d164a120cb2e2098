"""The architecture `input_layers`: any architecture with input layers in front of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field as Parameter
from torch import Tensor, nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import by_name
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.input_layer import InputLayer
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.task import Task


class UnfitInputLayersError(ValueError):
    """Two input layers accept one field, or a layer none."""


class InputLayers(Architecture):
    """Any architecture with input layers in front of it; `model.inputs` in a recipe stands for it.

    Every field that an input layer accepts goes through a module of its own, `inputs.<place>`; the others go to the
    architecture as they are. The architecture, whose layers are named `network.…`, is built for what comes out.

    Args:
        inputs: The input layers.
        network: The architecture behind them.

    Raises:
        UnfitInputLayersError: From `build`: two layers accept one field, or a layer none.
    """

    name: ClassVar[str] = "input_layers"

    inputs: tuple[InputLayer, ...] = Parameter((), description="the layers; each takes the fields that it accepts")
    network: Architecture = by_name("dlcli:mlp")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the layers, then the architecture for what they make."""
        fields = (*io.inputs, *io.conditions)
        layers = [layer_of(field, self.inputs) for field in fields]
        for component in self.inputs:
            if component not in layers:
                kinds = ", ".join(f"{field.name} ({field.kind})" for field in fields)
                raise UnfitInputLayersError(
                    f"the input layer {component.name} takes none of {kinds}, as preprocessing leaves them; remove it"
                )
        seen = [field if layer is None else layer.output(field) for field, layer in zip(fields, layers, strict=True)]
        made = [
            nn.Identity() if layer is None else layer.build(field) for field, layer in zip(fields, layers, strict=True)
        ]
        count = len(io.inputs)
        network = self.network.build(replace(io, inputs=tuple(seen[:count]), conditions=tuple(seen[count:])))
        return InputLayersNetwork(made, network, count)

    def default_loss(self, task: Task) -> str | None:
        """Return that of the architecture behind the layers."""
        return self.network.default_loss(task)

    def own_regularizers(self, rows: int) -> tuple[Regularizer, ...]:
        """Return those of the architecture behind the layers."""
        return self.network.own_regularizers(rows)


def told_architecture(architecture: Architecture) -> str:
    """Return an architecture's name, after those of the input layers in front of it, such as `embed, mlp`."""
    if not isinstance(architecture, InputLayers):
        return architecture.name
    return ", ".join([*(layer.name for layer in architecture.inputs), told_architecture(architecture.network)])


class InputLayersNetwork(nn.Module):
    """Inputs and conditions, each through a module of its own, to a network.

    Args:
        inputs: A module for each input, then for each condition.
        network: What gets their outputs.
        count: How many inputs there are.

    Shape:
        One tensor (B, …) a field; the network's outputs.
    """

    def __init__(self, inputs: Sequence[nn.Module], network: nn.Module, count: int) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(inputs)
        self.network = network
        self.count = count

    def forward(self, *inputs: Tensor, conditions: tuple[Tensor, ...] = (), **extra: Any) -> Tensor:
        """Return the network's outputs."""
        made = [module(values) for module, values in zip(self.inputs, (*inputs, *conditions), strict=True)]
        if conditions:
            extra["conditions"] = tuple(made[self.count :])
        output: Tensor = self.network(*made[: self.count], **extra)
        return output


def layer_of(field: Field, layers: Sequence[InputLayer]) -> InputLayer | None:
    """Return the input layer that takes a field; None where none does.

    Args:
        field: The field.
        layers: All input layers.

    Returns:
        The layer.

    Raises:
        UnfitInputLayersError: Several would take it.
    """
    found = [layer for layer in layers if layer.accepts(field)]
    if len(found) > 1:
        names = " and ".join(layer.name for layer in found)
        raise UnfitInputLayersError(
            f"the input layers {names} both take {field.name} ({field.kind}); keep one in model.inputs"
        )
    return found[0] if found else None


def in_front(inputs: Sequence[InputLayer], network: Architecture) -> Architecture:
    """Return an architecture with input layers in front of it; itself where there are none."""
    return InputLayers(inputs=tuple(inputs), network=network) if inputs else network
