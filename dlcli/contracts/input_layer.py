"""The contract of an input layer."""

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from dlcli.contracts.component import Component
from dlcli.contracts.field import Field
from dlcli.contracts.preprocessor import Preprocessor


class InputLayer(Component):
    """Learned parameters in front of any architecture: makes of one input field another, such as numbers of categories.

    `model.inputs` lists input layers; each takes all inputs and conditions that it accepts, with a module of its own
    for each, and no two may accept the same field. What must be learnt from training rows before, such as the edges of
    bins, is a preprocessor's: `preprocessors` names those that a layer needs, which are fitted and saved like all
    others. `build` draws initial values from torch's CPU stream, which the caller seeds and restores.
    """

    kind: ClassVar[str] = "input_layer"

    @abstractmethod
    def accepts(self, field: Field) -> bool:
        """Return whether the layer takes such a field, as it is after preprocessing."""

    def preprocessors(self) -> tuple[Preprocessor, ...]:
        """Return what is applied after `data.preprocess` to the fields that the layer takes: nothing by default."""
        return ()

    @abstractmethod
    def output(self, field: Field) -> Field:
        """Return how a field looks behind the layer.

        Args:
            field: The field, after `preprocessors`.

        Returns:
            Shape and kind of what `build` makes of it; its dtype is float32.

        Raises:
            ValueError: The layer cannot be built for it.
        """

    @abstractmethod
    def build(self, field: Field) -> nn.Module:
        """Build the layer for one field, after `preprocessors`.

        Args:
            field: The field.

        Returns:
            A module from (B, *field.shape) to (B, *output(field).shape).
        """
