import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, ClassVar, final

import numpy as np
from numpy.lib import format as npy
from pydantic import Field

from dlcli import TEXTS, DataError, Importer, Role, SourceField, UsageError

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
"""How zipfile tells damage; a member that is encrypted or of a compression that it lacks is told likewise."""
_BLOCK_BYTES = 32 * 2**20
"""Read at once from one array at most; texts may be long."""
_TURNED_BYTES = 256 * 2**20
"""Arrays in Fortran's order are turned up to that size."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class _Header:
    """What an array of the archive says of itself."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    fortran: bool
    size: int  # bytes of the header

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@final
class NPZ(Importer):
    """Reads NumPy's `.npz` archives, as `numpy.savez` and `numpy.savez_compressed` write them.

    Every array of one dimension or more is a field, with its rows first; it says nothing of classes and columns. Rows
    are read one block after another, of compressed archives too. Arrays of Python objects are refused, because reading
    them would run code that is in the file; arrays in Fortran's order are turned in memory, up to 256 MiB.

    Args:
        target: Array to predict; None for `y`, where there is one.
        group: Array that tells which rows belong together.
    """

    name: ClassVar[str] = "npz"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    target: str | None = Field(default=None, description="Array to predict; None for `y`, where there is one")
    group: str | None = Field(default=None, description="Array that tells which rows belong together")

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the arrays of an archive.

        Args:
            source: The file.

        Returns:
            The fields, in the order of the file.

        Raises:
            DataError: It is missing, damaged or no archive of arrays.
            UsageError: There is no such array as a parameter names.
        """
        with _opened(source) as archive:
            found = []
            for member in _members(archive, source):
                with archive.open(member) as stream:
                    header = _header(stream, archive.getinfo(member).file_size, f"{source}: {member}")
                if header.shape:
                    found.append(_field(member, header))
        roles: dict[str | None, Role] = {self.target: "target", self.group: "group"}
        there = [field.name for field in found]
        for name in roles:
            if name is not None and name not in there:
                raise UsageError(f"{source} has no array {name!r}; there are {', '.join(there)}")
        return tuple(replace(field, role=roles.get(field.name)) for field in found)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            fields: The arrays to read.
            rows: How many at a time; the last may be fewer.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: It is damaged, or an array is of objects or in Fortran's order.
        """
        with _opened(source) as archive, ExitStack() as streams:
            opened = {}
            for wanted in fields:
                name, member = wanted.name, wanted.where
                where = f"{source}: {member}"
                stream = streams.enter_context(archive.open(member))
                header = _header(stream, archive.getinfo(member).file_size, where)
                _refuse(header, where)
                rows_of = _turned(stream, header, where) if _in_columns(header) else stream
                opened[name] = rows_of, header, where
            headers = [header for _, header, _ in opened.values()]
            total = min((header.shape[0] for header in headers), default=0)
            rows = min([rows, *(max(1, _BLOCK_BYTES // max(1, header.row_bytes)) for header in headers)])
            for start in range(0, total, rows):
                count = min(rows, total - start)
                yield {name: _block(*entry, count) for name, entry in opened.items()}
            for stream, _, _ in opened.values():
                stream.read(1)  # past the end: only there zipfile compares the checksum


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, and tell damage that is met while it is open as a `DataError`."""
    if not source.is_file():
        raise DataError(f"there is no file {source}; check the path")
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except _DAMAGE as cause:
        raise DataError(
            f"{source} cannot be read as an NPZ archive: {str(cause) or type(cause).__name__}; it is cut, damaged, "
            "encrypted or of another format: copy it again, or write it anew with numpy.savez"
        ) from cause


def _members(archive: zipfile.ZipFile, source: Path) -> list[str]:
    """Return the names of the arrays' files; each once."""
    names = [info.filename for info in archive.infolist()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{source} holds {twice[0]} more than once; write it anew with numpy.savez")
    found = [name for name in names if name.endswith(".npy")]
    if not found:
        raise DataError(f"{source} holds no arrays ({len(names)} files, none is .npy); write it with numpy.savez")
    return found


def _header(stream: IO[bytes], size: int, where: str) -> _Header:
    """Read what an array says of itself, and compare it with its size before memory is taken for any row."""
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise DataError(f"{where} is of the format {version[0]}.{version[1]}; 1.0 and 2.0 can be read")
        shape, fortran, dtype = _READERS[version](stream)
    except ValueError as cause:  # numpy's own word for a header that is cut or hostile
        raise DataError(f"{where} is damaged: {cause}; copy the file again") from None
    header = _Header(tuple(map(int, shape)), dtype, bool(fortran), stream.tell())
    if any(length < 0 for length in header.shape):
        raise DataError(f"{where} is damaged: its shape is {header.shape}; copy the file again")
    expected = math.prod(header.shape) * dtype.itemsize
    if not dtype.hasobject and expected != size - header.size:
        raise DataError(
            f"{where} is damaged: its shape {header.shape} of {dtype} takes {expected} bytes, but {size - header.size} "
            "are there; copy the file again"
        )
    return header


def _field(member: str, header: _Header) -> SourceField:
    dtype = TEXTS if header.dtype.kind in "SU" else header.dtype.newbyteorder("=").name
    return SourceField(
        name=member.removesuffix(".npy"), where=member, shape=header.shape[1:], dtype=dtype, rows=header.shape[0]
    )


def _refuse(header: _Header, where: str) -> None:
    if header.dtype.hasobject:
        raise DataError(
            f"{where} holds Python objects, which cannot be read without running code that is in the file; store "
            "numbers, or texts as an array of type str: values.astype(str)"
        )
    if _in_columns(header) and header.shape[0] * header.row_bytes > _TURNED_BYTES:
        raise DataError(
            f"{where} is in Fortran's order, so its rows do not lie together, and too large to be turned in memory; "
            "write it anew with numpy.ascontiguousarray(values)"
        )


def _in_columns(header: _Header) -> bool:
    return header.fortran and len(header.shape) > 1


def _turned(stream: IO[bytes], header: _Header, where: str) -> IO[bytes]:
    """Return an array in Fortran's order row by row, as a stream."""
    wanted = header.shape[0] * header.row_bytes
    values = stream.read(wanted)
    if len(values) < wanted:
        raise DataError(f"{where} is cut: {len(values)} of {wanted} bytes are there; copy the file again")
    return io.BytesIO(np.frombuffer(values, header.dtype).reshape(header.shape[::-1]).T.tobytes())


def _block(stream: IO[bytes], header: _Header, where: str, rows: int) -> np.ndarray:
    """Read some rows; `read` takes no more memory than there are bytes."""
    wanted = rows * header.row_bytes
    values = stream.read(wanted)
    if len(values) < wanted:
        raise DataError(f"{where} is cut: {len(values)} of {wanted} bytes of a block are there; copy the file again")
    # A copy, because what lies in `bytes` may not be written to, which torch wants to be allowed.
    block = np.frombuffer(bytearray(values), dtype=header.dtype).reshape(rows, *header.shape[1:])
    if header.dtype.kind != "S":
        return block
    try:
        return np.char.decode(block, "utf-8")
    except UnicodeDecodeError as cause:
        raise DataError(f"{where} holds texts that are not UTF-8 ({cause}); store them as type str") from None
