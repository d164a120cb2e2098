"""`search.journal`: an Optuna journal, read and appended to as Optuna 5 does, but in batches, and mended when torn.

The file is opened as JSON lines and not through `JournalStorage`, which locks, writes, syncs and reads back for each
single value. Its lock is the one that Optuna takes (`search.journal.lock`, made exclusively), so that Optuna's own
tools may write at the same time; a lock whose holder died is taken away at once, where Optuna waits for half a minute.
"""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.errors import DataError
from dlcli.search.heart import Heart
from dlcli.search.replay import Replay


class Journal:
    """The journal of a search.

    Args:
        path: Where it is; made when it is first opened.
        heart: Keeps its lock alive.
    """

    def __init__(self, path: Path, heart: Heart) -> None:
        self.path = path.absolute()
        self.replay = Replay()
        self._heart = heart
        self._lock = self.path.with_name(f"{self.path.name}.lock")
        self._worker = f"{uuid.uuid4()}-0"
        self._offset = 0
        self._line = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the journal's lock; `replay` is up to date, and a torn last line is cut off.

        Yields:
            None: The block runs, and may `append`.

        Raises:
            DataError: The file is no journal of Optuna 5, or damaged.
            StorageError: The file cannot be written.
        """
        with self._heart.lock(self._lock):
            with atomic.storage_errors(self.path):
                self._read()
            yield

    def append(self, operations: Sequence[dict[str, Any]]) -> None:
        """Append operations in one write; only while `opened`.

        Args:
            operations: Lines without `worker_id`.

        Raises:
            StorageError: They could not be written; none of them is left.
        """
        if not operations:
            return
        lines = [{**operation, "worker_id": self._worker} for operation in operations]
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        with atomic.storage_errors(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                os.ftruncate(descriptor, self._offset)
                raise
            finally:
                os.close(descriptor)
        self._offset += len(data)
        self._line += len(lines)
        for line in lines:
            self.replay.apply(line)

    def _read(self) -> None:
        with self.path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size < self._offset:  # somebody moved it away: this is another one
                self._offset, self._line, self.replay = 0, 0, Replay()
            if size == self._offset:
                return
            file.seek(self._offset)
            data = file.read()
            end = data.rfind(b"\n") + 1
            for line in data[:end].split(b"\n")[:-1]:
                self._line += 1
                self._apply(line)
            self._offset += end
            torn = data[end:]
            if torn:
                if not (torn.startswith(b"{") or not torn.strip(b"\0")):
                    raise self._unreadable(self._line + 1, "it is no JSON")
                file.truncate(self._offset)

    def _apply(self, line: bytes) -> None:
        try:
            self.replay.apply(json.loads(line))
        except UnicodeDecodeError:
            raise self._unreadable(self._line, "it is no text") from None
        except json.JSONDecodeError as error:
            raise self._unreadable(self._line, f"it is no JSON: {error.msg}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable(self._line, f"it is no operation of Optuna 5: {error!r}") from None

    def _unreadable(self, line: int, cause: str) -> DataError:
        return DataError(
            f"{self.path}:{line} cannot be read as a journal of Optuna 5: {cause}. Nothing was changed. "
            "Move the file away and give the same command again: "
            "the journal is written anew from populations/, which holds all results"
        )
