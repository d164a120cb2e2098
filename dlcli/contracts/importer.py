"""The contract of an importer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dlcli.contracts.component import Component
from dlcli.contracts.field import Kind

if TYPE_CHECKING:
    import numpy

TEXTS = "str"
"""Stands for the type of texts."""


@dataclass(frozen=True)
class SourceField:
    """One array of rows in a file, as it is stored there.

    Args:
        name: Its name, by which a model's field is found.
        where: Its place in the file, for messages, such as `train/x`.
        shape: Shape of one row as stored: images are channels last.
        dtype: Name of the numbers' type, such as `float32`, or `TEXTS`.
        rows: How many rows it has; None where only reading tells.
        kind: How its rows are laid out; None where the file does not say.
        classes: Names of the classes that its integers stand for, where the file says.
        names: Names of the columns, where the file says.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: str
    rows: int | None = None
    kind: Kind | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Importer(Component):
    """Reads a foreign format in bounded memory, for `dlcli predict`.

    A file may come from anybody: nothing in it is unpickled, imported or executed, and what it claims about its sizes
    is compared with what is there before memory is taken for it.

    Class attributes: `suffixes`, with which its files end.
    """

    kind: ClassVar[str] = "importer"
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the fields that are in a file.

        Args:
            source: The file.

        Returns:
            The fields, in the order of the file; no values are read.

        Raises:
            DataError: It is missing, damaged, hostile or of another format.
        """

    @abstractmethod
    def chunks(self, source: Path, names: Sequence[str], rows: int) -> Iterator["Mapping[str, numpy.ndarray]"]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            names: Names of the fields to read, which have the same number of rows; no other is touched.
            rows: How many at a time; the last may be fewer.

        Returns:
            An array (R, *shape) a field and time, as stored; texts as `str`.

        Raises:
            DataError: It is damaged: cut, or not what `fields` said.
        """
