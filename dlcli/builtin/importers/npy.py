from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, SourceField

_BLOCK_BYTES = 8 * 2**20


@final
class NPY(Importer):
    """Reads arrays of NumPy's `.npy` format: `x`, and `y` from a second file.

    Arrays of Python objects are refused, because reading them would run code that is in the file.

    Args:
        target: File of targets, beside the source; None for none.
    """

    name: ClassVar[str] = "npy"
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    target: str | None = Field(default=None, description="File of targets, beside the source; None for none")

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
            SourceField(name, path.name, array.shape[1:], array.dtype.newbyteorder("=").name, len(array))
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
            yield {field.name: chosen[field.name][start : start + size].astype(field.dtype) for field in fields}

    def _arrays(self, source: Path) -> list[tuple[str, Path, np.ndarray]]:
        files = {"x": source} if self.target is None else {"x": source, "y": source.parent / self.target}
        found = []
        for name, path in files.items():
            if not path.is_file():
                raise DataError(f"there is no file {path}; check the path")
            try:
                # Mapped into memory, which also compares the size that it claims with the file's.
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError, OSError) as cause:
                raise DataError(f"{path} cannot be read as an array: {cause}; write it anew with numpy.save") from None
            if not isinstance(array, np.ndarray) or not array.ndim or array.dtype.kind not in "buif":
                raise DataError(f"{path} is no array of numbers with its rows first; write it anew with numpy.save")
            found.append((name, path, array))
        return found
