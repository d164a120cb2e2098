"""How the bytes of a file stand for characters, and what is told where it is no text, or damaged."""

import codecs
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from dlcli import DataError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; that of UTF-32 begins with one of UTF-16, so it comes first."""
GZIP = b"\x1f\x8b"
"""How a file begins that is packed by gzip."""
_NO_TEXT = {
    GZIP: "is packed by gzip: unpack it",
    b"PK\3\4": "is a zip archive, as Excel's files are: unpack it, or save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is a file of Excel: save its sheet as CSV",
    b"PAR1": "is a Parquet file: write its table as CSV",
}
"""How files begin that are no text, whatever they are called, and what to do."""


def settled_encoding(where: str, opener: Callable[[], IO[bytes]], encoding: str) -> str:
    """Find the encoding that takes off a byte order mark, where there is one.

    Args:
        where: The file's name, for messages.
        opener: Opens its bytes from the beginning.
        encoding: That which was asked for.

    Returns:
        The encoding to read it with.

    Raises:
        DataError: Its byte order mark is of another encoding, or it is no text but a format of its own.
    """
    with told_of_damage(where), opener() as stream:
        name, begin = codecs.lookup(encoding).name, stream.read(4)
    if no_text := next((told for mark, told in _NO_TEXT.items() if begin.startswith(mark)), None):
        raise DataError(f"{where} is no text, but {no_text}")
    marked = next((other for mark, other in _MARKS.items() if begin.startswith(mark)), None)
    if marked is None:
        return encoding
    if not name.startswith(marked):
        raise DataError(
            f"{where} begins with the byte order mark of {marked}, so its encoding is not {encoding}; say --set "
            f"encoding={marked}"
        )
    return "utf-8-sig" if marked == "utf-8" else marked


@contextmanager
def told_of_damage(where: str) -> Iterator[None]:
    """Tell what Python objects to while a file is read, with its name."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"there is no file {where}; check the path") from None
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{where} cannot be read: {cause}; it is cut or damaged: copy it again") from cause
    except LookupError as cause:
        raise DataError(f"{where}: {cause}; name an encoding such as utf-8 or latin-1") from None
