"""A file that HDF5 can be written to until the disk is full, and after."""

import io
from pathlib import Path
from typing import Any


class PatientFile(io.FileIO):
    """A new file that keeps its first failure to write for whoever asks, and from then on lets what comes go by.

    The HDF5 library cannot close a file that it cannot write, and is left in a state that may end the process; so it
    is never told.

    Args:
        path: The file; one that exists is emptied.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.failure: OSError | None = None

    def check(self) -> None:
        """Tell a failure.

        Raises:
            OSError: Something could not be written.
        """
        if self.failure is not None:
            raise self.failure

    def write(self, data: Any) -> int:
        """Write all of it, where the file stands.

        Args:
            data: Bytes, or what lies in memory like them.

        Returns:
            How many bytes there were.
        """
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest) and self.failure is None:
            try:
                rest = rest[super().write(rest) or 0 :]
            except OSError as failure:
                self.failure = failure
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length.

        Args:
            size: In bytes; where the file stands if None.

        Returns:
            The length.
        """
        if self.failure is None:
            try:
                return super().truncate(size)
            except OSError as failure:
                self.failure = failure
        return self.tell() if size is None else size
