"""What may be wrong with a dataset, as data: told one by one by `check`, raised together by `read_dataset`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dlcli.errors import DataError

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found in a dataset.

    Args:
        level: `error`: training refuses it; `warning`: probably a mistake; `note`: good to know.
        where: Place in the file, such as `train/x`; empty for the whole file.
        message: What is wrong, what was got, what is allowed, what to do.
    """

    level: Level
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def as_json(self) -> dict[str, str]:
        """Return it as a JSON-ready table."""
        return asdict(self)


def error(where: str, message: str) -> Finding:
    """Return a finding that training refuses."""
    return Finding("error", where, message)


def refuse(path: Path, findings: Sequence[Finding]) -> None:
    """Raise all errors among the findings at once.

    Args:
        path: The file that they are about.
        findings: Of any level; warnings and notes are passed over.

    Raises:
        DataError: There is at least one error.
    """
    errors = [str(finding) for finding in findings if finding.level == "error"]
    if len(errors) == 1:
        raise DataError(f"{path}: {errors[0]}")
    if errors:
        raise DataError("\n".join([f"{path}: {len(errors)} problems:", *(f"  {text}" for text in errors)]))
