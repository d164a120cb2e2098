"""The contract of an importer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dlcli.contracts.component import Component
from dlcli.contracts.field import Field

if TYPE_CHECKING:
    import numpy


class Importer(Component):
    """Reads a foreign format, in bounded memory, for `dlcli data import`."""

    kind: ClassVar[str] = "importer"
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fields(self, source: Path) -> tuple[Field, ...]:
        """Return the fields that are found in the source."""

    @abstractmethod
    def chunks(self, source: Path) -> Iterator["Mapping[str, numpy.ndarray]"]:
        """Return the rows in order, a few thousand at a time, one array a field, shaped as on disk."""
