"""The contract of an exporter."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from dlcli.contracts.component import Component


class Exporter(Component):
    """Writes a model in a foreign format, for `dlcli export`."""

    kind: ClassVar[str] = "exporter"
    suffix: ClassVar[str]

    @abstractmethod
    def write(self, model: nn.Module, inputs: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
        """Write one artefact.

        Args:
            model: Raw field tensors in, named outputs out; in eval mode on the CPU.
            inputs: A batch of raw rows by field name; the batch dimension becomes dynamic.
            path: File or folder to make; the caller renames it into place.
            metadata: Texts to keep in the artefact.
        """

    @abstractmethod
    def run(self, path: Path, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run an artefact on raw rows, for the parity check.

        Args:
            path: What `write` left.
            inputs: Raw rows by field name.

        Returns:
            Its named outputs.
        """
