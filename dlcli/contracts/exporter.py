"""The contract of an exporter: what it is given, and what it must be able to do with what it left."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from dlcli.contracts.component import Component

DESCRIPTION_KEY = "dlcli"
"""The entry of an artefact's metadata that holds its interface as JSON; without it dlcli cannot run the artefact."""


@dataclass(frozen=True)
class Exportable:
    """A model as an exporter gets it: one module from raw fields to named outputs.

    Args:
        module: In eval mode on the CPU. `forward(*fields)` takes the raw fields in the order of `inputs` and returns a
            tuple of tensors in the order of `outputs`; the members of an ensemble are computed as batched operations.
        inputs: Real raw rows by field name, two or more, shaped as the dataset has them. The first dimension of all is
            the batch and becomes dynamic.
        steps: For fields of sequences: the dimension of their steps, which becomes dynamic where the network allows.
        outputs: Names of the outputs, such as `logits` and `probabilities`.
        metadata: Texts to keep in the artefact, all of them: classes, run, recipe hash, licence, versions, how the data
            was imported, and under `DESCRIPTION_KEY` the interface that dlcli runs it by.
        folder: The model folder, `model.json` and `model.safetensors`, for formats that keep dlcli's own.
        card: A model card in Markdown, with front matter as model hubs read it.
        training_rows: Returns at most so many raw training rows by field name, for calibration.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    steps: Mapping[str, int]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]
    folder: Path
    card: str
    training_rows: Callable[[int], Mapping[str, Tensor]]


class Artefact(ABC):
    """What an exporter left, ready to run.

    Args:
        metadata: The texts that it was given.
    """

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = dict(metadata)

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs.

        Args:
            inputs: Raw rows (B, …) by field name, B ≥ 1, on the CPU.

        Returns:
            The outputs (B, …) by name, on the CPU.
        """


class Exporter(Component):
    """Writes a model in a foreign format, for `dlcli export`, and runs what it wrote.

    Class attributes: `suffix`, with which its files end, empty for a folder; `exact`, whether outputs are the model's
    up to rounding in float32, else only its classes are compared; `foreign_code`, whether running an artefact runs
    machine code that is in it, so that `dlcli predict` refuses those of others.

    What it needs beyond dlcli's own dependencies is imported inside the methods; where that is missing they raise
    `PluginError` with the line that installs it. A model that the format cannot hold raises `UsageError` that says
    which layer, and which format can.
    """

    kind: ClassVar[str] = "exporter"
    suffix: ClassVar[str]
    foreign_code: ClassVar[bool] = False

    @property
    def exact(self) -> bool:
        """Whether outputs are the model's up to rounding in float32; unless overridden."""
        return True

    @abstractmethod
    def write(self, model: Exportable, path: Path) -> None:
        """Write one artefact.

        Args:
            model: What to write.
            path: A file to make, or an empty folder to fill; the caller renames it into place.

        Raises:
            PluginError: A package that it needs is not installed.
            UsageError: The format cannot hold this model.
        """

    @abstractmethod
    def open(self, path: Path) -> Artefact:
        """Read an artefact; nothing in it is unpickled, imported or, but for `foreign_code`, executed.

        Args:
            path: What `write` left, or a file or folder that somebody says it did.

        Returns:
            The artefact.

        Raises:
            PluginError: A package that it needs is not installed.
            DataError: It is missing, damaged, hostile or of another format.
        """
