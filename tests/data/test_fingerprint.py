"""The digest of a file."""

import hashlib
from pathlib import Path

import pytest

from dlcli.data.fingerprint import fingerprint
from dlcli.errors import DataError


def test_digest_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    first.write_bytes(content)
    second.write_bytes(content[:-1] + b"\0")
    assert fingerprint(first) == hashlib.blake2b(content, digest_size=16).hexdigest()
    assert fingerprint(first) != fingerprint(second)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: No such file or directory; check data\.path"):
        fingerprint(tmp_path / "gone.h5")
