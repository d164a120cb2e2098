"""Files of a folder or zip archive, taken as one source; none outside it is ever touched."""

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from dlcli import DataError

MOST_UNPACKED_BYTES = 8 * 2**30
"""Of all files of an archive; one small archive can unpack without end."""
_NUMBER = re.compile(r"(\d+)")


def members_of(source: Path) -> dict[str, Callable[[], IO[bytes]]]:
    """Return what opens each file, by its path inside the source, in natural order (2 before 10).

    Args:
        source: A folder or a zip archive.

    Returns:
        An opener a file.

    Raises:
        DataError: It is neither, damaged, a path leads out of it, or it would unpack to more than 8 GiB.
    """
    if source.is_dir():
        found = {}
        for path in source.rglob("*"):
            if path.is_file():
                if not path.resolve().is_relative_to(source.resolve()):
                    raise DataError(f"{path} is a link that leads out of {source}; copy that file into it")
                found[path.relative_to(source).as_posix()] = _file_opener(path)
    elif source.is_file():
        found = _of_archive(source)
    else:
        raise DataError(f"there is no folder or archive {source}; check the path")
    return {name: found[name] for name in sorted(found, key=natural)}


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return a key that puts `a2` before `a10`."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in _NUMBER.split(name) if part]


def _file_opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _of_archive(source: Path) -> dict[str, Callable[[], IO[bytes]]]:
    try:
        archive = zipfile.ZipFile(source)  # stays open as long as its openers are kept; its directory may be long
    except (zipfile.BadZipFile, OSError, NotImplementedError) as cause:
        raise DataError(f"{source} cannot be read as a zip archive: {cause}; copy it again") from cause
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename):
            raise DataError(
                f"{source} holds {info.filename!r}, a path that leads out of it; such an archive is not read"
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{source} holds the link {info.filename!r}; pack the file itself")
    total = sum(info.file_size for info in infos)
    if total > MOST_UNPACKED_BYTES:
        largest = max(infos, key=lambda info: info.file_size)
        raise DataError(
            f"{source} ({source.stat().st_size:,} bytes) says that it unpacks to {total:,} bytes, more than "
            f"{MOST_UNPACKED_BYTES:,}; the largest file in it is {largest.filename} with {largest.file_size:,}; unpack "
            "it yourself where you trust it, and import the folder"
        )
    return {info.filename: _member_opener(source, archive, info.filename) for info in infos}


def _member_opener(source: Path, archive: zipfile.ZipFile, name: str) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        # No more than the size that was checked is ever unpacked: zipfile stops there.
        try:
            return io.BytesIO(archive.read(name))
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as cause:
            raise DataError(f"{source}: {name} cannot be unpacked: {cause}; copy the archive again") from cause

    return opened
