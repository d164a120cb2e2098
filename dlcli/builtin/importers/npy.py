from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.lib.format import open_memmap
from pydantic import Field

from dlcli import DataError, Importer, SourceField
from dlcli.builtin.importers.array_archive import as_texts, type_name

_BLOCK_BYTES = 8 * 2**20


@final
class NPY(Importer):
    """Reads arrays of NumPy's `.npy` format: `x`, and `y` from a second file.

    Arrays of Python objects are refused, because reading them would run code that is in the file.

    Args:
        target: File of targets, beside the source; None for none.
        channels_first: Whether images, rows of three dimensions, have their channels before height and width.
    """

    name: ClassVar[str] = "npy"
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    target: str | None = Field(default=None, description="File of targets, beside the source; None for none")
    channels_first: bool = Field(
        default=False, description="Whether images have their channels before height and width"
    )

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return `x`, and `y` where there are targets.

        Args:
            source: The file.

        Returns:
            The fields; no values are read.

        Raises:
            DataError: A file is missing, damaged or of Python objects.
        """
        return tuple(
            SourceField(name, path.name, array.shape[1:], type_name(array.dtype), len(array))
            for name, path, array in self._arrays(source)
        )

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            fields: Those to read.
            rows: How many at a time; fewer where rows are large.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: A file is missing, damaged or of Python objects.
        """
        arrays = {name: array for name, _, array in self._arrays(source)}
        chosen = {field.name: arrays[field.name] for field in fields}
        size = min(rows, *(max(1, _BLOCK_BYTES // max(1, a[:1].nbytes)) for a in chosen.values()))
        for start in range(0, min(map(len, chosen.values())), size):
            yield {
                name: as_texts(values[start : start + size], str(source))
                if values.dtype.kind in "SU"
                else values[start : start + size].astype(values.dtype.newbyteorder("="))
                for name, values in chosen.items()
            }

    def _arrays(self, source: Path) -> list[tuple[str, Path, np.ndarray]]:
        files = {"x": source} if self.target is None else {"x": source, "y": source.parent / self.target}
        found: list[tuple[str, Path, np.ndarray]] = []
        for name, path in files.items():
            if not path.is_file():
                raise DataError(f"there is no file {path}; check the path")
            try:
                # Mapped into memory, which also compares the size that it claims with the file's, and never unpickles.
                array = open_memmap(path, mode="r")
            except (ValueError, EOFError, OSError, SyntaxError) as cause:
                raise DataError(
                    f"{path} is no array of numbers or texts that numpy.save wrote ({cause}); write it anew"
                ) from None
            if not array.ndim:
                raise DataError(f"{path} holds a single value; there must be one row a sample, rows first")
            turned = self.channels_first and name == "x" and array.ndim == 4
            found.append((name, path, np.moveaxis(array, 1, -1) if turned else array))
        return found
