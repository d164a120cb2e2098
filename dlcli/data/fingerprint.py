"""A digest of a dataset's file, so that a run knows whether it sees the data that it was trained on."""

import hashlib
from pathlib import Path

from dlcli.errors import DataError


def fingerprint(path: Path) -> str:
    """Return a digest of the whole content of a file.

    Args:
        path: The file.

    Returns:
        32 hexadecimal digits of BLAKE2b.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as cause:
        raise DataError(f"{path} cannot be read: {cause.strerror}; check data.path") from cause
