import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, Kind, SourceField
from dlcli.builtin.importers.delimited import path_opener

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_BLOCK_BYTES = 8 * 2**20


@final
class IDX(Importer):
    """Reads the format of MNIST, also packed by gzip: a file of images with its file of labels beside it.

    The labels are those of `target`, or lie beside the images under the name that MNIST gives them
    (`…-labels-idx1-ubyte` for `…-images-idx3-ubyte`). A file of three dimensions of bytes holds images N×H×W.

    Args:
        target: File of labels beside the source; None: by MNIST's names.
    """

    name: ClassVar[str] = "idx"
    suffixes: ClassVar[tuple[str, ...]] = (".idx", ".idx.gz")
    contents: ClassVar[tuple[str, ...]] = ("-ubyte", "-ubyte.gz")

    target: str | None = Field(default=None, description="File of labels beside the source; None: by MNIST's names")

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return `x`, and `y` where there are labels; only headers are read.

        Args:
            source: The file of images.

        Returns:
            The fields.

        Raises:
            DataError: It is missing, damaged or of another format, or labels are not as many as rows.
        """
        found = []
        for name, path in self._files(source).items():
            shape, dtype = _shape(path)
            kind: Kind | None = "image" if name == "x" and len(shape) in (3, 4) and dtype == ">u1" else None
            found.append(
                SourceField(
                    name=name,
                    where=path.name,
                    shape=shape[1:],
                    dtype=np.dtype(dtype).newbyteorder("=").name,
                    rows=shape[0],
                    kind=kind,
                    role="target" if name == "y" else "input",
                )
            )
        return tuple(found)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, some at a time.

        Args:
            source: The file of images.
            fields: Those to read.
            rows: How many at a time; fewer where rows are large.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: A file is cut, or longer than it says.
        """
        files = self._files(source)
        with ExitStack() as stack:
            opened = []
            for field in fields:
                path = files[field.name]
                stream = stack.enter_context(_opened(path))
                shape, dtype = _header(stream, path)
                row_bytes = max(1, math.prod(shape[1:]) * np.dtype(dtype).itemsize)
                opened.append((field, path, stream, shape, dtype, row_bytes))
                rows = max(1, min(rows, _BLOCK_BYTES // row_bytes))
            total = opened[0][3][0]
            for start in range(0, total, rows):
                count = min(rows, total - start)
                found = {}
                for field, path, stream, shape, dtype, row_bytes in opened:
                    values = stream.read(count * row_bytes)
                    if len(values) < count * row_bytes:
                        raise DataError(
                            f"{path} is cut: it says that it has {shape[0]} rows, but ends within row "
                            f"{start + len(values) // row_bytes}; copy it again"
                        )
                    array = np.frombuffer(values, dtype).reshape(count, *shape[1:])
                    found[field.name] = array.astype(field.dtype)
                yield found
            for _, path, stream, shape, _, _ in opened:
                if stream.read(1):
                    raise DataError(f"{path} goes on behind its {shape[0]} rows; it is damaged: copy it again")

    def _files(self, source: Path) -> dict[str, Path]:
        if not source.is_file():
            raise DataError(f"there is no file {source}; check the path")
        labels = source.with_name(source.name.replace("-images", "-labels").replace("idx3", "idx1"))
        if self.target is not None:
            labels = source.parent / self.target
            if not labels.is_file():
                raise DataError(f"there is no file {labels}, the labels; check --target, a path beside {source.name}")
        return {"x": source, "y": labels} if labels != source and labels.is_file() else {"x": source}


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path_opener(path)() as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{path} cannot be read: {cause}; it is cut or damaged: copy it again") from cause


def _shape(path: Path) -> tuple[tuple[int, ...], str]:
    with _opened(path) as stream:
        return _header(stream, path)


def _header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], str]:
    """Read what a file says of itself: two zeros, a type, the number of dimensions, and each of them in four bytes."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not start[3]:
        raise DataError(f"{path} is no IDX file: it begins with {start!r}; expected two zeros, a type and dimensions")
    sizes = stream.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{path} is cut within its first {4 + 4 * start[3]} bytes; copy it again")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if 0 in shape:
        raise DataError(f"{path} holds nothing: its shape is {shape}")
    if math.prod(shape[1:]) > 2**30:
        raise DataError(f"{path} is damaged: its rows are {shape[1:]}, more than fits into memory; copy it again")
    return shape, _TYPES[start[2]]
