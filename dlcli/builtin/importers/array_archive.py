"""Rows of NumPy's archives: read in bounded memory, without running what a file may hold."""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from dlcli import TEXTS, DataError

_SUFFIX = ".npy"
"""With which the files of arrays end."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
"""How zipfile tells damage; a member that is encrypted or of a compression that it lacks is told likewise."""
_BLOCK_BYTES = 32 * 2**20
"""Read at once from one array at most; texts may be long."""
_TURNED_BYTES = 256 * 2**20
"""Arrays in Fortran's order are turned up to that size."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayHeader:
    """What an array of an archive says of itself.

    Args:
        shape: Its shape, rows first.
        dtype: The numbers' type.
        fortran: Whether it is in Fortran's order.
        size: Bytes of the header.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    fortran: bool
    size: int

    @property
    def holds(self) -> str:
        """What its values are, as `type_name` says."""
        return type_name(self.dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def type_name(dtype: "np.dtype[Any]") -> str:
    """Return a type's name in the machine's own order of bytes; that of texts, of whatever length, is `TEXTS`."""
    return TEXTS if dtype.kind in "SU" else dtype.newbyteorder("=").name


def as_texts(values: np.ndarray, where: str) -> np.ndarray:
    """Return texts as `str`.

    Args:
        values: Of type `str`, or bytes, which are read as UTF-8.
        where: Their place, for the error.

    Returns:
        The same texts in an array of its own.

    Raises:
        DataError: They are not UTF-8.
    """
    if values.dtype.kind == "U":
        return np.array(values)
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as cause:
        raise DataError(f"{where} holds texts that are not UTF-8 ({cause}); store them as type str") from None


def read_headers(source: Path) -> dict[str, ArrayHeader]:
    """Return what the arrays of an archive say of themselves.

    Args:
        source: The archive.

    Returns:
        By the array's name, in the order of the file.

    Raises:
        DataError: It is missing, damaged or no archive of arrays.
    """
    found = {}
    with _opened(source) as archive:
        for member in _members(archive, source):
            with archive.open(member) as stream:
                size = archive.getinfo(member).file_size
                found[member.removesuffix(_SUFFIX)] = _header(stream, size, f"{source}: {member}")
    return found


def read_rows(source: Path, arrays: Mapping[str, str], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Read arrays side by side, some rows at a time.

    Args:
        source: The archive.
        arrays: The arrays' names by those that they are to have.
        rows: How many at a time; fewer where rows are long.

    Yields:
        Mapping[str, np.ndarray]: One array a name and time.

    Raises:
        DataError: It is damaged, or an array is of objects or in Fortran's order.
    """
    with _opened(source) as archive, ExitStack() as streams:
        opened = {}
        for name, array in arrays.items():
            member = array + _SUFFIX
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
    found = [name for name in names if name.endswith(_SUFFIX)]
    if not found:
        raise DataError(f"{source} holds no arrays ({len(names)} files, none is .npy); write it with numpy.savez")
    return found


def _header(stream: IO[bytes], size: int, where: str) -> ArrayHeader:
    """Read what an array says of itself, and compare it with its size before memory is taken for any row."""
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise DataError(f"{where} is of the format {version[0]}.{version[1]}; 1.0 and 2.0 can be read")
        shape, fortran, dtype = _READERS[version](stream)
    except ValueError as cause:  # numpy's own word for a header that is cut or hostile
        raise DataError(f"{where} is damaged: {cause}; copy the file again") from None
    header = ArrayHeader(tuple(map(int, shape)), dtype, bool(fortran), stream.tell())
    if any(length < 0 for length in header.shape):
        raise DataError(f"{where} is damaged: its shape is {header.shape}; copy the file again")
    expected = math.prod(header.shape) * dtype.itemsize
    if not dtype.hasobject and expected != size - header.size:
        raise DataError(
            f"{where} is damaged: its shape {header.shape} of {dtype} takes {expected} bytes, but {size - header.size} "
            "are there; copy the file again"
        )
    return header


def _refuse(header: ArrayHeader, where: str) -> None:
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


def _in_columns(header: ArrayHeader) -> bool:
    return header.fortran and len(header.shape) > 1


def _turned(stream: IO[bytes], header: ArrayHeader, where: str) -> IO[bytes]:
    """Return an array in Fortran's order row by row, as a stream."""
    wanted = header.shape[0] * header.row_bytes
    values = stream.read(wanted)
    if len(values) < wanted:
        raise DataError(f"{where} is cut: {len(values)} of {wanted} bytes are there; copy the file again")
    return io.BytesIO(np.frombuffer(values, header.dtype).reshape(header.shape[::-1]).T.tobytes())


def _block(stream: IO[bytes], header: ArrayHeader, where: str, rows: int) -> np.ndarray:
    """Read some rows; `read` takes no more memory than there are bytes."""
    wanted = rows * header.row_bytes
    values = stream.read(wanted)
    if len(values) < wanted:
        raise DataError(f"{where} is cut: {len(values)} of {wanted} bytes of a block are there; copy the file again")
    # A copy, because what lies in `bytes` may not be written to, which torch wants to be allowed.
    block = np.frombuffer(bytearray(values), dtype=header.dtype).reshape(rows, *header.shape[1:])
    return as_texts(block, where) if header.dtype.kind == "S" else block
