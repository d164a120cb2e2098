"""Files that appear whole or not at all: temporary name, fsync, rename."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlcli.errors import StorageError

PARTIAL = ".partial-"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Tell a failure to write as a `StorageError` that names the path, the cause and the way out.

    Args:
        path: What was being written.

    Yields:
        None: The block runs.

    Raises:
        StorageError: The system refused to write: full disk, read-only folder, missing rights.
    """
    # safetensors tells a full disk as an error of its own; imported here, since most commands write nothing.
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise StorageError(f"cannot write {path}: there is no folder {path.parent}; make it first") from error
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(
            f"cannot write {path}: {cause}; free some space, or make the folder writable, or work in another folder"
        ) from error


def sync(path: Path) -> None:
    """Make the contents of a file, or the renames inside a folder, survive a power failure."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders, and makes renames durable by itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""

    def fill(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_file(path, fill)


def write_file(path: Path, fill: Callable[[Path], None]) -> None:
    """Write any file whole or not at all; one that is there already is replaced.

    Args:
        path: The file.
        fill: Writes the temporary file whose path it is given.
    """
    with storage_errors(path):
        temporary = path.with_name(f"{PARTIAL}{path.name}")
        try:
            fill(temporary)
            sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that appears whole or not at all; one that is there already is replaced.

    Args:
        path: The folder.
        fill: Writes its files into the temporary folder that it is given.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{PARTIAL}{path.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            fill(temporary)
            for file in temporary.iterdir():
                file.chmod(temporary.stat().st_mode & 0o666)  # safetensors makes its files for their owner alone
                sync(file)
            sync(temporary)
            remove_folder(path)
            os.rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(path.parent)


def fill_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Put files into a folder, each whole or not at all; whatever else is in it stays.

    Args:
        path: The folder; made where it is not there.
        fill: Writes the files into the temporary folder that it is given.
    """
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path))
        try:
            temporary.chmod(path.stat().st_mode & 0o777)
            fill(temporary)
            for file in sorted(temporary.iterdir()):
                file.chmod(path.stat().st_mode & 0o666)
                sync(file)
                os.replace(file, path / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(path)


def remove_folder(path: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name."""
    doomed = path.with_name(f"{PARTIAL}removed-{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    if path.exists():
        os.rename(path, doomed)
        shutil.rmtree(doomed)
