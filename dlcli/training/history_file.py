"""`history.jsonl`: one line an epoch and member, appended; a torn last line is dropped on opening."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.contracts.history import EpochRecord
from dlcli.errors import DataError


class HistoryFile:
    """The history of all members of a run.

    Args:
        path: The file; made when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: io.FileIO | None = None

    def close(self) -> None:
        """Close the file; appending opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, member: str, record: EpochRecord) -> None:
        """Append one epoch of a member."""
        line = {
            "member": member,
            "epoch": record.epoch,
            "learning_rate": record.learning_rate,
            **{name: value if math.isfinite(value) else None for name, value in record.values.items()},
            "seconds": record.seconds,
        }
        with atomic.storage_errors(self.path):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(json.dumps(line).encode() + b"\n")

    def sync(self) -> None:
        """Make what was appended survive a power failure."""
        with atomic.storage_errors(self.path):
            if self.path.exists():
                atomic.sync(self.path)

    def read(self, member: str) -> tuple[EpochRecord, ...]:
        """Return the epochs of a member."""
        return self.read_all().get(member, ())

    def read_all(self) -> dict[str, tuple[EpochRecord, ...]]:
        """Return the epochs of every member, by identity."""
        found: dict[str, tuple[EpochRecord, ...]] = {}
        for line in self._lines():
            found[line["member"]] = (*found.get(line["member"], ()), _record(line))
        return found

    def cut(self, epochs: Mapping[str, int]) -> None:
        """Drop the epochs of some members after a given one each, and a torn last line; other members keep theirs."""
        if not self.path.exists():
            return
        self.close()
        kept = [line for line in self._lines() if line["epoch"] <= epochs.get(line["member"], line["epoch"])]
        atomic.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        complete = text[: text.rfind("\n") + 1]
        lines = []
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{self.path}:{number} is damaged ({error.msg}): restore the file from a copy, "
                    "or delete the run and train again"
                ) from None
        return lines


def _record(line: dict[str, Any]) -> EpochRecord:
    values = {
        key: math.nan if value is None else float(value)
        for key, value in line.items()
        if key not in {"member", "epoch", "learning_rate", "seconds"}
    }
    return EpochRecord(int(line["epoch"]), float(line["learning_rate"]), values, float(line["seconds"]))
