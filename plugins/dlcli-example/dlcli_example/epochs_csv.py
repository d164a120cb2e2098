"""The observer: a run's epochs as a CSV, for spreadsheets."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli import EpochRecord


def append(path: Path, member: str, record: "EpochRecord") -> None:
    """Add an epoch to a CSV; a new file begins with the names of the columns.

    A resumed run trains the epochs since its last checkpoint again, and they are in the file twice, with the same
    numbers.

    Args:
        path: The file.
        member: Identity of the member; empty in a plain run.
        record: Its epoch.
    """
    row = {
        "member": member,
        "epoch": record.epoch,
        "learning_rate": record.learning_rate,
        "seconds": record.seconds,
        **record.values,
    }
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
