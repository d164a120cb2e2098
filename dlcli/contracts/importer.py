"""The contract of an importer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dlcli.contracts.component import Component
from dlcli.contracts.field import Field, Kind, Role

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
        role: What it is for; None where neither the file nor the importer's parameters say.
        of: For a length, mask or weight: the field that it belongs to.
        missing: How many values of each column are missing, in the order of `names`; empty where nobody counted.
        note: What must be known of how it was taken; empty where nothing need be.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: str
    rows: int | None = None
    kind: Kind | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    role: Role | None = None
    of: str | None = None
    missing: tuple[int, ...] = ()
    note: str = ""


class Importer(Component):
    """Reads a foreign format in bounded memory, for `dlcli predict` and `dlcli data import`.

    A file may come from anybody: nothing in it is unpickled, imported or executed, and what it claims about its sizes
    is compared with what is there before memory is taken for it.

    Class attributes: `suffixes`, with which its files end, empty where it is only asked for by name; `contents`, with
    which the files in a folder or zip end that it reads as one source; `ordered`, whether its rows follow one another
    in time, so that the last ones are kept for validation.
    """

    kind: ClassVar[str] = "importer"
    suffixes: ClassVar[tuple[str, ...]]
    contents: ClassVar[tuple[str, ...]] = ()
    ordered: ClassVar[bool] = False

    def settled(self, source: Path) -> "Importer":
        """Return the importer as a dataset's file remembers it, so that other files can be read alike.

        Args:
            source: The file that was imported.

        Returns:
            The same, with names for what only holds in this file, such as positions of columns.
        """
        return self

    def without_roles(self) -> "Importer":
        """Return the importer as it reads new rows, of which nobody knows the target.

        Returns:
            The same with `target`, `group` and `time` None where they may be: rows may lack these, and a column that
            was one of them is like any other.
        """
        fields = type(self).model_fields
        roles = [key for key in ("target", "group", "time") if key in fields and fields[key].default is None]
        return self.model_copy(update=dict.fromkeys(roles))

    def taking(self, fields: Sequence[Field]) -> "Importer":
        """Return the importer as it reads new rows for a model, however these rows look.

        Args:
            fields: What the model takes.

        Returns:
            The same, told by the model what it would find out from the rows; itself where it finds out nothing.
        """
        return self

    @abstractmethod
    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the fields that are in a file.

        Args:
            source: The file.

        Returns:
            The fields, in the order of the file. Values are read only where nothing else tells types and classes.

        Raises:
            DataError: It is missing, damaged, hostile or of another format.
        """

    @abstractmethod
    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator["Mapping[str, numpy.ndarray]"]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            fields: Those to read, as `fields` gave them, all of the same number of rows; no other is touched.
            rows: How many at a time; fewer where rows are large.

        Returns:
            An array (R, *shape) a field and time, as stored; texts as `str`.

        Raises:
            DataError: It is damaged: cut, or not what `fields` said.
        """

    def splits(self, source: Path) -> "Mapping[str, numpy.ndarray]":
        """Return the splits that the file itself makes.

        Args:
            source: The file.

        Returns:
            Row numbers of `train`, `val` and `test`, those that there are; empty where it makes none.
        """
        return {}

    def shared(self, source: Path) -> "Mapping[str, numpy.ndarray]":
        """Return what belongs to no row, by its path in the dataset, such as `graph/edges`."""
        return {}

    def line(self, source: Path, row: int) -> int | None:
        """Return the line of a text file, from 1 on, in which a row stands; None where rows are no lines."""
        return None

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return what was found out about the file rather than told, such as a delimiter, each with how to tell it."""
        return ()
